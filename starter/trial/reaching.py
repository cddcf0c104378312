"""Why there is no connection: the name, the port or the certificate. The calls themselves only say that there was none."""

import asyncio
import socket
import ssl
from urllib.parse import urlsplit

import httpx

from starter.trial.findings import Remark, problem

_LONGEST = 5.0


async def why_unreachable(address: str, *, service_id: str) -> Remark | None:
    """Look for the reason; None where a connection comes about by now. `address` is the service's base URL."""
    parts = urlsplit(address)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    base_url = f"services.{service_id}.base_url"
    try:
        async with asyncio.timeout(_LONGEST):
            await _connect(host, port, is_tls=is_tls)
    except socket.gaierror:
        return problem(
            "unknown_host",
            f"The name {host} is not known (DNS).",
            mend=f"Check {base_url}, and that this machine is in the network where the name is known.",
        )
    except ConnectionRefusedError:
        return problem(
            "connection_refused",
            f"Nothing listens at {host}:{port}.",
            mend=f"Check the port in {base_url}, and that the service runs.",
        )
    except ssl.SSLCertVerificationError as error:
        return problem(
            "certificate_not_trusted",
            f"The certificate of {host}:{port} is not trusted: {error.verify_message.rstrip('.')}.",
            mend="Where it comes from an authority of your own, name its file in SSL_CERT_FILE; "
            "otherwise mend the certificate. It is never accepted unverified.",
        )
    except ssl.SSLError:
        return problem(
            "no_tls",
            f"{host}:{port} doesn't speak TLS as we do.",
            mend=f"Check scheme and port in {base_url}: is it http://, or another port?",
        )
    except TimeoutError:
        return problem(
            "connect_timeout",
            f"No connection to {host}:{port} within {_LONGEST:.0f}s.",
            mend=f"Check {base_url}, and the firewall between.",
        )
    except OSError:
        return problem(
            "unreachable",
            f"There is no way to {host}:{port}.",
            mend=f"Check {base_url}, and the network of this machine.",
        )
    return None


async def _connect(host: str, port: int, *, is_tls: bool) -> None:
    _, writer = await asyncio.open_connection(host, port, ssl=httpx.create_ssl_context() if is_tls else None)
    writer.close()
