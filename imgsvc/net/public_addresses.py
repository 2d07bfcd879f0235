"""Which IP addresses are of the internet, and which stand inside some network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052."""

_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # RFC 6890: what answers there is the nearest box of the provider
        "192.88.99.0/24",  # RFC 7526: relays from IPv6
        "168.63.129.16/32",  # what stands inside every virtual machine of Azure
        "fec0::/10",  # RFC 3879: site-local; given up, but some networks still route it
        "3fff::/20",  # RFC 9637: documentation
        "5f00::/16",  # RFC 9602: segment routing within a network
        "64:ff9b:1::/48",  # RFC 8215: translation as a site likes it
    )
)
"""What Python 3.11 takes for public."""

_ISATAP = (0x00005EFE, 0x02005EFE)
"""RFC 5214, 6.1: the middle of an interface identifier that ends with an IPv4 address."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also behind every way of writing an IPv4
    address into an IPv6 one.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and (translated := _translated(ip)):
        return is_public(str(translated))
    if any(ip in network for network in _NOT_PUBLIC) or not _is_public(ip):
        return False
    return isinstance(ip, IPv4Address) or all(is_public(str(hidden)) for hidden in _tunnelled(ip))


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    """`is_global` alone is true for multicast."""
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _translated(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that it is another way of writing, and nothing else."""
    return ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)


def _tunnelled(ip: IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that packets to it are carried to on their way."""
    number = int(ip)
    found = [ip.sixtofour, *(ip.teredo or ())]
    if number >> 32 == 0 or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        found.append(IPv4Address(number & 0xFFFFFFFF))
    return [address for address in found if address is not None]
