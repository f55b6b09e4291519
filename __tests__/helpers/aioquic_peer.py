"""One connection by aioquic, as client or server; says in lines of JSON what it hears. It ends with its input."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived


def say(**what):
    print(json.dumps(what), flush=True)


class Protocol(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            say(event="established", resumed=event.session_resumed)
        elif isinstance(event, StreamDataReceived):
            say(event="data", text=event.data.decode(), end=event.end_stream)
        elif isinstance(event, ConnectionTerminated):
            say(event="closed", code=event.error_code, reason=event.reason_phrase)


class AskingConnection(QuicConnection):
    """aioquic's server asks its clients for certificates only when its TLS is told so."""

    def _initialize(self, peer_cid):
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = True


async def ended():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def main():
    wanted = json.loads(sys.argv[1])
    is_client = wanted["role"] == "client"
    settings = QuicConfiguration(
        is_client=is_client, alpn_protocols=["test"], verify_mode=ssl.CERT_NONE, server_name="localhost"
    )
    if "cert" in wanted:
        settings.load_cert_chain(wanted["cert"], wanted["key"])
    if is_client:
        async with connect("127.0.0.1", wanted["port"], configuration=settings, create_protocol=Protocol) as protocol:
            _, writer = await protocol.create_stream()
            writer.write(b"hello")
            writer.write_eof()
            await ended()
    else:
        import aioquic.asyncio.server as server

        server.QuicConnection = AskingConnection
        listening = await serve("127.0.0.1", 0, configuration=settings, create_protocol=Protocol)
        say(event="listening", port=listening._transport.get_extra_info("sockname")[1])
        await ended()
        listening.close()


asyncio.run(main())
