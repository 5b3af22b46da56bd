"""Proxies and TLS servers that forward requests to a local server."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@attrs.define
class Proxy:
    """A forward proxy for plain http.

    Attributes:
        address: The host and port of the proxy.
        asked: The request line and the headers of each request.
    """

    address: str = ""
    asked: list = attrs.field(factory=list)


@asynccontextmanager
async def proxy_to(server):
    """A proxy that forwards each request to a local server, whatever host it names."""
    proxy = Proxy()
    place = urlsplit(server.base_url)

    async def handle(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *headers = [part for part in head.split("\r\n") if part]
        proxy.asked.append((line, dict(header.split(": ", 1) for header in headers)))
        method, url, _ = line.split()
        path = "/" + url.removeprefix("http://").partition("/")[2]
        kept = [h for h in headers if not h.startswith(("Proxy-", "Connection"))]
        lines = [f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]
        far_reader, far_writer = await asyncio.open_connection(
            place.hostname, place.port
        )
        far_writer.write("\r\n".join(lines).encode())
        writer.write(await far_reader.read())
        far_writer.close()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        proxy.address = f"{host}:{port}"
        yield proxy


@asynccontextmanager
async def tls_before(server, directory):
    """Yield a base URL that reaches a local server over TLS, and its CA file."""
    certificate, key = _self_signed()
    ca_file = directory / "authorities.pem"
    ca_file.write_bytes(certificate)
    key_file = directory / "key.pem"
    key_file.write_bytes(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca_file, key_file)
    place = urlsplit(server.base_url)

    async def handle(reader, writer):
        far = await asyncio.open_connection(place.hostname, place.port)
        try:
            await asyncio.gather(_copy(reader, far[1]), _copy(far[0], writer))
        finally:
            far[1].close()
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with listening:
        _, port = listening.sockets[0].getsockname()
        yield f"https://127.0.0.1:{port}", ca_file


async def _copy(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def _self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "canopy test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
