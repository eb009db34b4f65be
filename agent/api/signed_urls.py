"""Signed URLs: who may open one thing once. A token is used up before its work begins, so a failed download needs a new one.

Used ids are kept in memory until their token ends; tokens from before this agent's start are refused, so a restart opens none again.
"""

from aiohttp import web

from agent.api.denials import Denials
from agent.api.keys import MANAGER
from agent.credentials import Credentials
from agent.server.server import Server
from core.agent_settings import ApiSection
from core.clock import Clock, unix
from core.errors import Forbidden, LimitReached, NotFound
from core.protocol.signed import Purpose, SignedClaims
from core.tokens import read_url_token

MOST_USED = 200_000
"""Ids remembered at once; a control plane that signs more within fifteen minutes has to wait."""


class OneTime:
    """Ids of tokens that were used. `take` is atomic: it never waits between looking and noting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._used: dict[str, int] = {}
        self._tidied = unix(clock.now())

    def take(self, claims: SignedClaims) -> bool:
        """Whether this is the token's first use; from now on it was used. Raises LimitReached."""
        now = unix(self._clock.now())
        if now > self._tidied:
            self._used, self._tidied = {key: exp for key, exp in self._used.items() if exp > now}, now
        if claims.unique_id in self._used:
            return False
        if len(self._used) >= MOST_USED:
            raise LimitReached("Too many signed addresses were used in the last minutes.", hint="Try again in a quarter of an hour.")
        self._used[claims.unique_id] = claims.exp
        return True


class SignedUrls:
    """The one way in for `/download/*`, `/upload/*` and incoming transfers."""

    def __init__(self, settings: ApiSection, credentials: Credentials, denials: Denials, clock: Clock) -> None:
        self._settings = settings
        self._credentials = credentials
        self._denials = denials
        self._clock = clock
        self._one_time = OneTime(clock)

    def check(self, token: str, purpose: Purpose) -> SignedClaims:
        """What a token says, and that it still counts; it is not used up. Raises Unauthenticated and Forbidden."""
        claims = read_url_token(
            self._credentials.secret,
            token,
            purpose,
            now=self._clock.now(),
            shared=self._settings.shared_key,
            unscoped=self._settings.unscoped_tokens,
        )
        if self._denials.denies(claims):
            raise Forbidden("This address no longer counts: it was made before its user was signed out, or before the node started.")
        return claims

    def use(self, claims: SignedClaims) -> None:
        """Use a checked token up. Raises NotFound when it was used before, as Wings does."""
        if not self._one_time.take(claims):
            raise NotFound("This address was used already.", hint="Ask for a new one.")


URLS = web.AppKey("signed_urls", SignedUrls)


def opened(request: web.Request, purpose: Purpose) -> tuple[Server, SignedClaims]:
    """Let in whoever holds the `?token=` of this request, once. Raises Unauthenticated, Forbidden, NotFound (used, or no server)."""
    urls = request.app[URLS]
    claims = urls.check(request.query.get("token", ""), purpose)
    server = request.app[MANAGER].get(claims.server_uuid)
    urls.use(claims)
    return server, claims
