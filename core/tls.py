"""TLS contexts of both programs, from PEM files. Certificates that are renewed on disk are taken up without a restart.

Must never fall back to plain HTTP, nor to a certificate that does not belong to its key: a renewal that cannot be used is logged, and the
old pair serves on.
"""

import asyncio
import logging
import ssl
from pathlib import Path

from cryptography import x509

from core.clock import Clock, SystemClock
from core.errors import NotConfigured

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0  # between two looks at the files

Stamp = tuple[int, int, int]


class ServerTls:
    """The context of a listening socket. `section` is the settings' section that names the files, for the words of errors."""

    def __init__(self, certificate: Path, key: Path, section: str) -> None:
        """Reads both files. Raises NotConfigured."""
        self._certificate, self._key, self._section = certificate, key, section
        self._seen = self._stamps()
        self._check()
        self.context = self._serving = self._loaded()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        """At each handshake: serve the newest pair. A context in use is never changed, since it would be half changed for a moment."""
        if self._serving is not first:
            connection.context = self._serving

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key)
        return context

    def look(self) -> bool:
        """Take up renewed files; True when they were. Raises NotConfigured, once for each state of the files, and goes on with the old."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        self._check()
        try:
            self._serving = self._loaded()
        except (ssl.SSLError, OSError) as error:  # they changed between the check and now: looked at again, like anything new
            self._seen = (None, None)
            raise NotConfigured(f"The certificate {self._certificate} was changed while it was read.") from error
        if self._stamps() != stamps:
            self._seen = (None, None)
        return True

    async def run(self, clock: Clock) -> None:
        """Look for as long as the program runs."""
        while True:
            await clock.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self.look):
                    log.info("the renewed certificate %s is in use", self._certificate)
            except NotConfigured as error:
                log.error("%s The certificate from before is used on.", error)

    def _stamps(self) -> tuple[Stamp | None, Stamp | None]:
        return _stamp(self._certificate), _stamp(self._key)

    def _check(self) -> None:
        """Raises NotConfigured for a pair that must not be used; leaves the context in use alone."""
        expired = expiry_trouble(self._certificate, self._section)
        if expired:
            raise NotConfigured(expired[0], hint=expired[1])
        try:
            self._key.read_bytes()
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key, password=_no_password)
        except ssl.SSLError as error:
            if "KEY_VALUES_MISMATCH" in str(error):
                raise NotConfigured(
                    f"The key {self._key} does not belong to the certificate {self._certificate}.",
                    hint=f"Name the pair that was made together in [{self._section}] certificate and key.",
                ) from error
            raise NotConfigured(f"The key {self._key} cannot be used: it is no PEM key.", hint=f"Check [{self._section}] key.") from error
        except OSError as error:
            raise NotConfigured(
                f"The key {self._key} cannot be read: {error.strerror}.", hint="Check the path, and that Aerie's user may read it."
            ) from error
        except _Locked as error:
            raise NotConfigured(
                f"The key {self._key} is locked with a password.", hint="Take the password off: openssl pkey -in key.pem -out open.pem."
            ) from error


class _Locked(Exception):
    pass


def _no_password() -> str:
    raise _Locked


def _stamp(file: Path) -> Stamp | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def expiry_trouble(certificate: Path, section: str) -> tuple[str, str] | None:
    """Sentence and hint when the certificate cannot be read or is out of its time; None when it is good."""
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as error:
        return f"The certificate {certificate} cannot be read: {error.strerror}.", "Check the path, and that Aerie's user may read it."
    except ValueError:
        return f"The certificate {certificate} is no PEM certificate.", f"Check [{section}] certificate."
    now = SystemClock().now()
    if read.not_valid_after_utc < now:
        return f"The certificate {certificate} expired on {read.not_valid_after_utc:%Y-%m-%d}.", "Renew it, then start again."
    if read.not_valid_before_utc > now:
        return (
            f"The certificate {certificate} is not valid before {read.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
            "Check this machine's clock.",
        )
    return None


def server_tls(certificate: Path | None, key: Path | None, section: str) -> ServerTls | None:
    """None when neither file is set. Raises NotConfigured, also when only one is."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise NotConfigured(
            f"Only one of [{section}] certificate and key is set.", hint="Set both for TLS, or neither for plain HTTP behind a proxy."
        )
    return ServerTls(certificate, key, section)


def client_context(authority: Path | None) -> ssl.SSLContext:
    """For calling the other program: the system's authorities and, where given, one's own. Raises NotConfigured."""
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise NotConfigured(f"The authority {authority} is no PEM certificate.", hint="Check [tls] ca.") from error
        except OSError as error:
            raise NotConfigured(
                f"The authority {authority} cannot be read: {error.strerror}.", hint="Check [tls] ca, and the file's rights."
            ) from error
    return context
