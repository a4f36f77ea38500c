"""The servers, as their packages install them; none of them was written for Holdfast. One line of the table is one test."""
import dataclasses
import struct
from typing import Callable

DEBIAN = "script/bootstrap --interop installs it"
QUESTION = b"\x04slot\0\0\x10\0\1"  # the TXT record of "slot"
QUERY = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + QUESTION


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A request in two parts. After the first the server has accepted and waits for the second."""
    first: bytes
    rest: bytes
    is_whole: Callable[[bytes], bool]

    @property
    def request(self):
        return self.first + self.rest


def is_dns_answer(data):
    return len(data) > 2 and len(data) >= 2 + struct.unpack_from(">H", data)[0] and b"slot " in data


HTTP = Protocol(b"G", b"ET / HTTP/1.0\r\n\r\n", lambda answer: answer.startswith(b"HTTP/1.") and b"hello" in answer)
REDIS = Protocol(b"P", b"ING\r\n", lambda answer: answer.startswith(b"+PONG\r\n"))
MEMCACHED = Protocol(b"v", b"ersion\r\n", lambda answer: answer.startswith(b"VERSION ") and answer.endswith(b"\r\n"))
DNS = Protocol(b"\0", bytes([len(QUERY)]) + QUERY, is_dns_answer)


@dataclasses.dataclass(frozen=True)
class Server:
    program: str
    arguments: str  # {port}, {directory} and Holdfast's own templates stand for what they are
    files: dict = dataclasses.field(default_factory=dict)
    protocol: Protocol = HTTP
    intake: str = "capture"
    options: tuple = ()
    at_once: int = 50  # clients that it reads from at the same time
    ipv6: bool = True  # it listens there too
    also_udp: bool = False
    without_ipv6: bool = False


HELLO = {"index.html": "hello"}
WSGI = {"app.py": "def app(environ, start):\n  start('200 OK', [])\n  return [b'hello']\n"}
ASGI = {"app.py": """\
async def app(scope, receive, send):
  await send({'type': 'http.response.start', 'status': 200, 'headers': []})
  await send({'type': 'http.response.body', 'body': b'hello'})
"""}
CADDY = {"Caddyfile": "{\nadmin off\n}\n:{port}\nrespond hello\n"}
NGINX = {"nginx.conf": """\
daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
  server { listen {port}; listen [::]:{port}; return 200 hello; }
}
"""}
NGINX_MASTER = {"nginx.conf": NGINX["nginx.conf"].replace("master_process off;", "worker_processes 2;")}
LIGHTTPD = {**HELLO, "lighttpd.conf": 'server.document-root = "{directory}"\nserver.port = {port}\nindex-file.names = ("index.html")\n'}
NODE = {"server.js": "require('http').createServer((request, response) => response.end('hello')).listen({port})\n"}

NODE_CLUSTER = {"server.js": "const cluster = require('cluster')\nif (cluster.isPrimary) { cluster.fork(); cluster.fork() } else {\n"
                + NODE["server.js"] + "}\n"}

PYTHON = Server("python3", "-m http.server {port}", HELLO, ipv6=False)
GUNICORN = "--log-level warning --timeout 0 --worker-tmp-dir {directory} app:app"
UVICORN = "--log-level warning --lifespan off app:app"
SERVERS = {
    "python": PYTHON,
    "python-starts-slowly": dataclasses.replace(PYTHON, options=("--start-grace", "1ms")),
    "python-without-ipv6": dataclasses.replace(PYTHON, without_ipv6=True),
    "gunicorn-bind": Server("gunicorn", "--bind :{port} " + GUNICORN, WSGI, options=("--intake", "capture"), at_once=1, ipv6=False),
    "gunicorn": Server("gunicorn", GUNICORN, WSGI, intake="listen-fds", at_once=1),
    "uvicorn-bind": Server("uvicorn", "--host 0.0.0.0 --port {port} " + UVICORN, ASGI, ipv6=False),
    "uvicorn-fd": Server("uvicorn", "--fd 3 " + UVICORN, ASGI, intake="listen-fds"),
    "busybox": Server("busybox", "httpd -f -p {port}", HELLO),
    "caddy": Server("caddy", "respond --listen :{port} hello"),
    "caddy-file": Server("caddy", "run --adapter caddyfile --config Caddyfile", CADDY),
    "nginx": Server("nginx", "-e stderr -p {directory}/slot-{slot} -c {directory}/nginx.conf", NGINX),
    "nginx-master": Server("nginx", "-e stderr -p {directory}/slot-{slot} -c {directory}/nginx.conf", NGINX_MASTER),
    "lighttpd": Server("lighttpd", "-D -f lighttpd.conf", LIGHTTPD, ipv6=False),
    "node": Server("node", "server.js", NODE, options=("--intake", "capture")),
    "node-cluster": Server("node", "server.js", NODE_CLUSTER, options=("--intake", "capture")),
    "redis": Server("redis-server", "--port {port} --save '' --protected-mode no --bind * -::*", protocol=REDIS),
    "memcached": Server("memcached", "-p {port} -U 0 -u nobody", protocol=MEMCACHED),
    "dnsmasq": Server("dnsmasq", "--keep-in-foreground --log-facility=- --conf-file=/dev/null --port={port} --no-resolv --no-hosts --pid-file= "
                      "--txt-record=slot,'slot {slot}'", protocol=DNS, at_once=8, also_udp=True),
    "bare": Server("bare_server", "{port}", at_once=1, ipv6=False),  # ours, without a libc
}
