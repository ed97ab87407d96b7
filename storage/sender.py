"""Deliveries leave the table: signed, one at a time to each hook, tried again later where that fails.

A delivery is made at least once: who dies between sending and noting it sends it again, with the same `delivery` id.
"""

import asyncio
import hashlib
import hmac
import logging
import socket
import ssl
import threading
import time
from ipaddress import IPv6Address, ip_address

import httpx
from sqlalchemy.exc import SQLAlchemyError

from core.errors import AppError
from storage.webhooks import LEASE_S, Delivery, Webhooks

log = logging.getLogger(__name__)

SIGNATURE_HEADER = "Telltale-Signature"
AT_ONCE = 8
"""Hooks that are called side by side; one that hangs keeps one of these for `LIMIT_S`."""
LIMIT_S = 15.0
"""For one attempt, from looking up the address to the head of the answer."""
POLL_S = 2.0
STOP_S = 5.0
"""A name that is being looked up cannot be interrupted, so the thread may outlive this; it is a daemon."""
assert LIMIT_S < LEASE_S


class Undelivered(AppError):
    """Why an attempt failed, for the operator."""


def sign(secret: str, body: str, time_s: int) -> str:
    """The signature header: HMAC-SHA256 over `time.body`, so that an old delivery cannot be passed off as new."""
    digest = hmac.new(secret.encode(), f"{time_s}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={time_s},v1={digest}"


class Sender(threading.Thread):
    """Sends what is due until it is told to stop; several, in one process or many, never make the same attempt."""

    def __init__(self, webhooks: Webhooks, *, private: bool, limit_s: float = LIMIT_S, poll_s: float = POLL_S) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._webhooks = webhooks
        self._private = private
        self._limit_s = limit_s
        self._poll_s = poll_s
        self._ended = threading.Event()
        # Also from SSL_CERT_FILE, for hooks behind an organisation's own authority.
        self._certificates = httpx.create_ssl_context()

    def run(self) -> None:
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Breaks off what is under way, which is sent again after the next start."""
        self._ended.set()
        self.join(STOP_S)

    async def _serve(self) -> None:
        sending: set[asyncio.Task[None]] = set()
        while not self._ended.is_set():
            delivery = await asyncio.to_thread(self._next) if len(sending) < AT_ONCE else None
            if delivery is None:
                await asyncio.to_thread(self._ended.wait, self._poll_s)
            else:
                task = asyncio.create_task(self._attempt(delivery))
                sending.add(task)
                task.add_done_callback(sending.discard)

    def _next(self) -> Delivery | None:
        try:
            return self._webhooks.claim(time.time())
        except SQLAlchemyError as error:
            log.warning("The table of deliveries cannot be read just now: %s", type(error).__name__)
            return None

    async def _attempt(self, delivery: Delivery) -> None:
        trouble = None
        try:
            await deliver(delivery, self._certificates, private=self._private, limit_s=self._limit_s)
        except Undelivered as error:
            trouble = str(error)
            log.warning(
                "Hook %s did not get delivery %s%s: %s",
                delivery.hook_id,
                delivery.id,
                ", which is given up" if delivery.is_last else "",
                trouble,
            )
        await asyncio.to_thread(self._webhooks.settle, delivery, trouble)


async def deliver(delivery: Delivery, certificates: ssl.SSLContext, *, private: bool, limit_s: float = LIMIT_S) -> None:
    """One attempt.

    Args:
        private: whether the address may lead to this machine or into a private network.

    Raises:
        Undelivered: anything but a 2xx within the limit; the sentence holds nothing of the hook's address or secret.
    """
    try:
        async with asyncio.timeout(limit_s):
            status = await _post(delivery, certificates, private)
    except TimeoutError as error:
        raise Undelivered(f"It did not answer within {limit_s:g} s.") from error
    except (httpx.HTTPError, OSError, UnicodeError) as error:
        raise Undelivered(f"It could not be reached ({type(error).__name__}).") from error
    if not 200 <= status < 300:
        raise Undelivered(
            f"It answered {status}; a status from 200 to 299 is expected, and redirects are not followed."
        )


async def _post(delivery: Delivery, certificates: ssl.SSLContext, private: bool) -> int:
    url, now = httpx.URL(delivery.url), int(time.time())
    host = url.raw_host.decode("ascii")
    address = await _look_up(host, url.port or (443 if url.scheme == "https" else 80), private)
    # No proxy from the environment: it would look the name up again by itself.
    async with httpx.AsyncClient(verify=certificates, trust_env=False, timeout=None) as client:
        request = client.build_request(
            "POST",
            # To the very address that was checked: the name could lead elsewhere a moment later.
            url.copy_with(host=address),
            content=delivery.body.encode(),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Content-Type": "application/json",
                "User-Agent": "Telltale",
                SIGNATURE_HEADER: sign(delivery.secret, delivery.body, now),
            },
            extensions={"sni_hostname": host},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


async def _look_up(host: str, port: int, private: bool) -> str:
    """The first address of a host, once all of them were found to be allowed."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in found]
    refused = [address for address in addresses if not private and not is_public(address)]
    if refused:
        raise Undelivered(
            f"Its name leads to {refused[0]}, which is not an address of the internet. "
            "If the hook is yours, set TELLTALE_WEBHOOKS_PRIVATE=1."
        )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not to this machine, its network, a range that is reserved, or an
    IPv6 address which stands for an IPv4 one that does."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour or ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast
