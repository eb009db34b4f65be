"""API keys: making, listing, taking back, and telling whose a key is. A key is shown once, when it is made; only its hash is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import selectinload

from core.actor import Actor
from core.clock import Clock
from core.db.engine import Database
from core.errors import Forbidden, Invalid, LimitReached, NotFound, Unauthenticated
from core.models.api_key import ApiKey
from core.models.user import User
from core.services.activity import ActivityLog
from core.tokens import API_IDENTIFIER, API_SECRET, fingerprint, new_api_key, same
from core.vocabulary import ActorKind, KeyKind, Outcome, Resource

MOST_KEYS = 25
"""Client keys of one user, as many as the panel lets them have."""
MOST_ADDRESSES = 50
MOST_MEMO = 500

NONE, READ, WRITE = 0, 1, 2
EVERYTHING: dict[str, int] = {resource.value: READ | WRITE for resource in Resource}

_PREFIXES = {KeyKind.CLIENT: "ptlc_", KeyKind.APPLICATION: "ptla_"}
_USED_EVERY = timedelta(minutes=1)
_UNKNOWN = "This API key is not known here."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a request with a key."""

    user: User
    key: ApiKey
    actor: Actor

    @property
    def plain_actor(self) -> Actor:
        """The person without what being an administrator of Aerie gives them."""
        return replace(self.actor, root_admin=False)

    def may(self, resource: Resource, right: int) -> bool:
        """Whether the Application API lets them; a root admin's client key may everything."""
        if self.key.kind == KeyKind.CLIENT:
            return self.user.root_admin
        return bool(self.key.rights.get(resource.value, NONE) & right)


class ApiKeys:
    def __init__(self, database: Database, activity: ActivityLog, clock: Clock) -> None:
        self._database = database
        self._activity = activity
        self._clock = clock
        self.owners: set[int] = set()
        """Discord ids of administrators of Aerie; bot/app.py fills it from the settings, and the client with the application's owner."""

    def is_root(self, user: User) -> bool:
        """Whether they administer Aerie itself: by their row, or because the settings or Discord name them."""
        return user.root_admin or user.discord_id in self.owners

    async def create(
        self,
        actor: Actor,
        user: User,
        kind: KeyKind = KeyKind.CLIENT,
        *,
        memo: str = "",
        allowed_ips: Sequence[str] = (),
        rights: Mapping[str, int] | None = None,
    ) -> tuple[ApiKey, str]:
        """A key of `user` and its secret half (the whole key is `identifier` and secret put together), which cannot be read again.

        An application key needs a root admin; without `rights` it may read and write everything. Raises Invalid, Forbidden, LimitReached.
        """
        if kind is KeyKind.APPLICATION and not self.is_root(user):
            raise Forbidden(
                "Only an administrator of Aerie may have an application key.",
                hint="Name them in [discord] owners, or make a client key.",
            )
        memo, addresses = checked_memo(memo), checked_addresses(allowed_ips)
        identifier, secret = new_api_key(_PREFIXES[kind])
        row = ApiKey(
            user_id=user.id,
            kind=kind.value,
            identifier=identifier,
            secret_hash=fingerprint(secret),
            memo=memo,
            allowed_ips=addresses,
            rights=(_checked_rights(rights) if rights is not None else EVERYTHING) if kind is KeyKind.APPLICATION else {},
            created_at=self._clock.now(),
        )
        async with self._database.begin() as session:
            await session.scalar(select(User.id).where(User.id == user.id).with_for_update())
            own = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user.id, ApiKey.kind == kind.value)
            held = await session.scalar(own)
            if (held or 0) >= MOST_KEYS:
                raise LimitReached(f"You have {MOST_KEYS} API keys already.", hint="Remove one you no longer use.")
            session.add(row)
        await self._activity.write(actor, "user:api-key.create", metadata={"identifier": identifier, "kind": kind.value})
        return row, secret

    async def of(self, user: User, kind: KeyKind | None = None) -> list[ApiKey]:
        """A user's keys, oldest first."""
        wanted = select(ApiKey).where(ApiKey.user_id == user.id).order_by(ApiKey.id)
        async with self._database.session() as session:
            return list(await session.scalars(wanted if kind is None else wanted.where(ApiKey.kind == kind.value)))

    async def remove(self, actor: Actor, user: User, identifier: str, kind: KeyKind | None = None) -> None:
        """Take a key back; it opens nothing from now on. Raises NotFound, also for a key of somebody else."""
        chosen = [ApiKey.user_id == user.id, ApiKey.identifier == identifier]
        if kind is not None:
            chosen.append(ApiKey.kind == kind.value)
        async with self._database.begin() as session:
            row = await session.scalar(select(ApiKey).where(*chosen))
            if row is None:
                raise NotFound("You have no such API key.", hint="`/account api-key list` shows yours.")
            await session.execute(delete(ApiKey).where(ApiKey.id == row.id))
        await self._activity.write(actor, "user:api-key.delete", metadata={"identifier": identifier})

    async def authenticate(self, token: str, address: str) -> Caller:
        """Whose key this is, asked from `address`. Raises Unauthenticated, and Forbidden where the key may not be used."""
        if len(token) != API_IDENTIFIER + API_SECRET or not token.isascii():
            raise Unauthenticated(_UNKNOWN)
        async with self._database.session() as session:
            row = await session.scalar(select(ApiKey).options(selectinload(ApiKey.user)).where(ApiKey.identifier == token[:API_IDENTIFIER]))
        known = row.secret_hash if row else "0" * 64
        if not same(known, fingerprint(token[API_IDENTIFIER:])) or row is None:
            raise Unauthenticated(_UNKNOWN)
        row.user.root_admin = self.is_root(row.user)  # the row is detached: nothing is written
        caller = Caller(row.user, row, _actor(row.user, address))
        if row.allowed_ips and not _within(address, row.allowed_ips):
            reason = "This API key may not be used from this address."
            await self._activity.write(
                caller.actor, "auth:ip-blocked", outcome=Outcome.REFUSED, metadata={"identifier": row.identifier}, reason=reason
            )
            raise Forbidden(reason, hint="Use it from an address it was made for, or make another key.")
        await self._used(row)
        return caller

    async def _used(self, row: ApiKey) -> None:
        """Remember the use, once a minute at most: a key that asks every second must not write every second."""
        now = self._clock.now()
        if row.last_used_at is not None and now - row.last_used_at < _USED_EVERY:
            return
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - _USED_EVERY)
        async with self._database.begin() as session:
            await session.execute(update(ApiKey).where(ApiKey.id == row.id, stale).values(last_used_at=now))
        row.last_used_at = now


def _actor(user: User, address: str) -> Actor:
    return Actor(
        ActorKind.API_KEY, user.name, discord_id=user.discord_id, user_id=user.id, root_admin=user.root_admin, origin=address or "unknown"
    )


def checked_memo(memo: str) -> str:
    memo = memo.strip()
    if len(memo) > MOST_MEMO or any(not character.isprintable() for character in memo):
        raise Invalid(f"The memo of a key may have {MOST_MEMO} printable characters at most.")
    return memo


def checked_addresses(addresses: Sequence[str]) -> list[str]:
    """Addresses and networks in their usual form. Raises Invalid, naming the first that is neither."""
    if len(addresses) > MOST_ADDRESSES:
        raise Invalid(f"A key may name {MOST_ADDRESSES} addresses at most.")
    good = []
    for text in addresses:
        try:
            good.append(str(ip_network(text.strip(), strict=False)) if "/" in text else str(ip_address(text.strip())))
        except ValueError:
            raise Invalid(f"{text[:60]} is no address and no network.", hint="Write 203.0.113.7 or 203.0.113.0/24.") from None
    return good


def _checked_rights(rights: Mapping[str, int]) -> dict[str, int]:
    for name, right in rights.items():
        if name not in EVERYTHING or right not in (NONE, READ, WRITE, READ | WRITE):
            raise Invalid(f"The right {name[:40]}={right} does not exist.", hint=f"Resources are {', '.join(EVERYTHING)}; rights 0 to 3.")
    return {name: rights.get(name, NONE) for name in EVERYTHING}


def _within(address: str, allowed: Sequence[str]) -> bool:
    try:
        own = ip_address(address)
    except ValueError:
        return False
    own = getattr(own, "ipv4_mapped", None) or own
    return any(own in ip_network(network, strict=False) for network in allowed)
