"""IP addresses as far as they are known: a block of them, or that of the cluster, or that of the internet."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

Block = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def block_of(text: str) -> Block | None:
    """Return a CIDR block, or None if the text is none; a single address is a block of one."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _blocks(*written: str) -> tuple[Block, ...]:
    return tuple(ipaddress.ip_network(text) for text in written)


@dataclass(frozen=True)
class Area:
    """The addresses that something may have: one of them is its own, and it is not known which.

    Attributes:
        blocks: The blocks of these addresses.
        holes: Blocks within them that it is not in.
    """

    blocks: tuple[Block, ...]
    holes: tuple[Block, ...] = ()

    def may_lie_in(self, block: Block, holes: Sequence[Block]) -> bool:
        """Tell whether the address may be in a block and in none of its exceptions."""
        return any(
            own.overlaps(block) and _something_left(_smaller(own, block), [*holes, *self.holes])
            for own in self.blocks
            if own.version == block.version
        )


def _smaller(one: Block, other: Block) -> Block:
    return one if one.prefixlen >= other.prefixlen else other


def _something_left(block: Block, holes: Iterable[Block]) -> bool:
    inner = []
    for hole in holes:
        if hole.version == block.version and hole.overlaps(block):
            if hole.prefixlen <= block.prefixlen:
                return False
            inner.append(hole)
    merged: Iterable[Block] = ipaddress.collapse_addresses(inner)  # type: ignore[type-var] # all of one version
    return sum(hole.num_addresses for hole in merged) < block.num_addresses


#: The private addresses of RFC 1918 and RFC 4193.
PRIVATE = _blocks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
#: The addresses that clusters give to pods, Services and nodes: private ones, shared ones (RFC 6598), and link-local
#: ones (RFC 3927 and 4291).
CLUSTER = Area((*PRIVATE, *_blocks("100.64.0.0/10", "169.254.0.0/16", "fe80::/10")))
#: All other addresses.
INTERNET = Area(_blocks("0.0.0.0/0", "2000::/3"), CLUSTER.blocks)
ANYWHERE = Area(_blocks("0.0.0.0/0", "::/0"))
