"""Servers of which it is known how they are told to listen on the loopback alone, each from its own documentation."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Server(NamedTuple):
    """A server, how it is recognised, and what it says of itself.

    ``processes`` are names of its processes, or, where a ``runtime`` runs it, which is the beginning of such a name,
    words of the command line; ``units`` are beginnings of its systemd units; ``users`` and ``ports`` are what it
    usually runs as and listens on. ``setting`` binds it to the loopback; ``without_authentication`` says when it asks
    nobody for a password, and is ``None`` for what does unless it is told not to, or leaves that to what it serves.
    """

    name: str
    processes: tuple[str, ...]
    setting: str
    see: str
    runtime: str | None = None
    units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    without_authentication: str | None = None


SERVERS = (
    Server(
        name="PostgreSQL",
        processes=("postgres", "postmaster"),
        units=("postgresql",),
        users=("postgres",),
        ports=(5432,),
        setting="in postgresql.conf listen_addresses = 'localhost', which is the default; then restart.",
        see="https://www.postgresql.org/docs/current/runtime-config-connection.html",
    ),
    Server(
        name="MySQL",
        processes=("mysqld", "mariadbd"),
        units=("mysql", "mariadb"),
        users=("mysql",),
        ports=(3306, 33060),
        setting="in my.cnf, under [mysqld], bind_address = 127.0.0.1, and mysqlx_bind_address likewise (port 33060).",
        see="https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_bind_address",
    ),
    Server(
        name="Redis",
        processes=("redis-server", "valkey-server"),
        units=("redis", "valkey"),
        users=("redis", "valkey"),
        ports=(6379,),
        setting="in redis.conf bind 127.0.0.1 -::1",
        see="https://redis.io/docs/latest/operate/oss_and_stack/management/security/",
        without_authentication=(
            "It asks for no password unless requirepass or ACLs are set. Since 3.2 its protected mode refuses other "
            "hosts, but only while no password is set and bind was not given."
        ),
    ),
    Server(
        name="memcached",
        processes=("memcached",),
        units=("memcached",),
        users=("memcache", "memcached"),
        ports=(11211,),
        setting="start it with -l 127.0.0.1, and before 1.5.6 with -U 0 as well, which shuts UDP off.",
        see="https://docs.memcached.org/serverguide/configuring/",
        without_authentication="It asks nobody for a password unless it runs with -S (SASL) or -Y FILE (passwords).",
    ),
    Server(
        name="MongoDB",
        processes=("mongod", "mongos"),
        units=("mongod", "mongodb"),
        users=("mongodb", "mongod"),
        ports=(27017,),
        setting="in mongod.conf net.bindIp: localhost, which is the default since 3.6.",
        see="https://www.mongodb.com/docs/manual/core/security-mongodb-configuration/",
        without_authentication="Access control is off unless security.authorization is enabled.",
    ),
    Server(
        name="Elasticsearch",
        processes=("elasticsearch",),
        runtime="java",
        units=("elasticsearch",),
        users=("elasticsearch",),
        ports=(9200, 9300),
        setting="in elasticsearch.yml network.host: _local_, which is the default since 2.0.",
        see="https://www.elastic.co/guide/en/elasticsearch/reference/current/modules-network.html",
        without_authentication="Before 8.0 security is off unless xpack.security.enabled is set; since then it is on.",
    ),
    Server(
        name="RabbitMQ",
        processes=("rabbit",),
        runtime="beam",
        units=("rabbitmq",),
        users=("rabbitmq",),
        ports=(5672, 15672, 25672),
        setting=(
            "in rabbitmq.conf listeners.tcp.local = 127.0.0.1:5672 and management.tcp.ip = 127.0.0.1; for the port of "
            "the cluster (25672) inet_dist_use_interface of Erlang's kernel, and ERL_EPMD_ADDRESS=127.0.0.1 (4369)."
        ),
        see="https://www.rabbitmq.com/docs/networking",
    ),
    Server(
        name="nginx",
        processes=("nginx",),
        units=("nginx",),
        ports=(80, 443),
        setting="in each server block listen 127.0.0.1:PORT; a port alone is every address.",
        see="https://nginx.org/en/docs/http/ngx_http_core_module.html#listen",
    ),
    Server(
        name="Docker",
        processes=("docker-proxy",),
        setting=(
            'publish with docker run -p 127.0.0.1:PORT:PORT, in Compose "127.0.0.1:PORT:PORT"; a port alone is every '
            'address. The default is "ip" in /etc/docker/daemon.json.'
        ),
        see="https://docs.docker.com/engine/network/port-publishing/",
    ),
    Server(
        name="Docker API",
        processes=("dockerd",),
        units=("docker",),
        ports=(2375, 2376),
        setting="leave -H tcp:// out and use the Unix socket, over SSH from elsewhere; or -H tcp://127.0.0.1:2375.",
        see="https://docs.docker.com/engine/security/protect-access/",
        without_authentication="Without --tlsverify whoever reaches it has root on this machine.",
    ),
    Server(
        name="OpenSSH",
        processes=("sshd",),
        units=("ssh.", "sshd."),
        ports=(22,),
        setting=(
            "in sshd_config ListenAddress 127.0.0.1; where systemd listens for it, ListenStream=127.0.0.1:22 in "
            "ssh.socket, after an empty ListenStream=."
        ),
        see="https://man.openbsd.org/sshd_config#ListenAddress",
    ),
    Server(
        name="Flask",
        processes=("flask",),
        runtime="python",
        ports=(5000,),
        setting="run flask run without --host, or app.run(host='127.0.0.1'), which is the default.",
        see="https://flask.palletsprojects.com/en/stable/quickstart/",
    ),
    Server(
        name="Uvicorn",
        processes=("uvicorn",),
        runtime="python",
        setting="start it with --host 127.0.0.1, which is the default.",
        see="https://www.uvicorn.org/settings/",
    ),
    Server(
        name="Gunicorn",
        processes=("gunicorn",),
        runtime="python",
        setting="start it with --bind 127.0.0.1:8000, which is the default unless PORT is set in its environment.",
        see="https://docs.gunicorn.org/en/stable/settings.html#bind",
    ),
    Server(
        name="Python's http.server",
        processes=("http.server",),
        runtime="python",
        setting="start it with --bind 127.0.0.1; without it serves every address.",
        see="https://docs.python.org/3/library/http.server.html",
        without_authentication="It asks nobody for a password, and lists the files of its folder.",
    ),
    Server(
        name="Node.js",
        processes=("node", "nodejs"),
        runtime="mainthread",
        setting="give listen a host: server.listen(PORT, '127.0.0.1'); without one it is every address.",
        see="https://nodejs.org/api/net.html#serverlistenport-host-backlog-callback",
    ),
)
"""Node.js 23 and later call the main thread, and so the process, MainThread."""


def find_server(name: str | None) -> Server | None:
    """Find a server by its name."""
    return next((server for server in SERVERS if server.name == name), None)


def identify(
    processes: Iterable[tuple[str | None, str | None]], unit: str | None, user: str | None, port: int
) -> tuple[str, str] | None:
    """Tell which server holds a socket, and by what that is told; ``None`` for any other.

    ``processes`` are names and command lines of its owners, as far as they may be seen. Who is hidden is told by the
    unit, or by user and port together: a port alone says nothing.
    """
    owners = list(processes)
    for name, cmdline in owners:
        found = _find_by_process((name or "").casefold(), cmdline or "")
        if found is not None:
            return found, "process"
    for server in SERVERS:
        if unit is not None and unit.startswith(server.units):
            return server.name, "unit"
    for server in SERVERS:
        if not owners and user in server.users and port in server.ports:
            return server.name, "user-and-port"
    return None


@lru_cache(maxsize=1024)  # a process may hold thousands of sockets
def _find_by_process(name: str, cmdline: str) -> str | None:
    """Tell a server by the name of its process, or by what the command line of a runtime says that it runs."""
    for server in SERVERS:
        is_runtime = server.runtime is not None and name.startswith(server.runtime)
        if name in server.processes or (is_runtime and not set(server.processes).isdisjoint(_split(cmdline))):
            return server.name
    return None


def _split(cmdline: str) -> Iterator[str]:
    """Give the words of a command line: of paths the last part as well, of Java's names all parts."""
    for word in cmdline.casefold().split():
        yield from (word, word.rpartition("/")[2])
        if word.startswith("org."):
            yield from word.replace("/", ".").split(".")
