"""`python -m setup.health PORT`: does one of our programs answer there, on this machine? For containers' health checks.

Standard library only. Any HTTP status below 500 will do: an agent rightly refuses a caller without its token. Plain HTTP is tried first,
then TLS, whose certificate is not judged, since it is made for the name that others call.
"""

import http.client
import ssl
import sys

PATIENCE = 3.0  # seconds


def answers(port: int) -> bool:
    """Whether something speaks HTTP or HTTPS there and does not fail."""
    unjudged = ssl.create_default_context()
    unjudged.check_hostname = False
    unjudged.verify_mode = ssl.CERT_NONE
    for connection in (
        http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE),
        http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=unjudged),
    ):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


if __name__ == "__main__":
    sys.exit(0 if answers(int(sys.argv[1])) else 1)
