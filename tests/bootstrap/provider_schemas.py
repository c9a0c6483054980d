"""A Terraform provider that knows its schema and nothing else, so that the real Terraform runs without a registry.

The schemas come from packages with bindings for CDK Terrain (once CDK for Terraform), which are downloaded as data and
never installed. Terraform takes the provider from the environment variable ``TF_REATTACH_PROVIDERS`` and speaks its
protocol 6 with it, of which this answers what ``validate`` and tests with ``mock_provider`` ask for: the schema, and
"valid" to everything else. So unknown, missing and wrongly typed arguments are found, and a provider's own rules for
values are not.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

Type = str | list[Any]

#: What the bindings do not tell: the attributes that a provider marks as sensitive.
SENSITIVE = {
    "digitalocean_kubernetes_cluster": {"kube_config"},
    "kubernetes_secret_v1": {"data", "binary_data"},
    "local_sensitive_file": {"content", "content_base64"},
    "random_password": {"result", "bcrypt_hash"},
}


@dataclass
class Attribute:
    """An attribute: of a cty type, or an object with attributes of its own, one or a list of them."""

    type: Type
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    nested: Block | None = None
    many: bool = False


@dataclass
class Block:
    """A block: attributes and blocks by name; of these whether there must be one and whether there may be many."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    blocks: dict[str, tuple[Block, bool, bool]] = field(default_factory=dict)


@dataclass
class Provider:
    """A provider.

    Attributes:
        address: As in ``source``, with the registry's host.
        configuration: What its provider block takes.
        resources: Resources by type.
        data_sources: Data sources by type.
    """

    address: str
    configuration: Block = field(default_factory=Block)
    resources: dict[str, Block] = field(default_factory=dict)
    data_sources: dict[str, Block] = field(default_factory=dict)


def read_provider(wheel: Path) -> Provider:
    """Return the provider whose bindings a wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        package = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        manifest, bindings = (json.load(_member(files, name)) for name in ("package.json", ".jsii"))
    provider = Provider((manifest.get("cdktn") or manifest["cdktf"])["provider"]["name"])
    short = provider.address.rpartition("/")[2]
    reader = _Bindings(bindings["types"])
    for type in bindings["types"].values():
        if type["name"].endswith("Config") and (links := [*_links(type)]):
            category, page = links[0]
            block = reader.block(type["fqn"], computed=type["fqn"].removesuffix("Config"))
            name = f"{short}_{page}"
            for attribute in SENSITIVE.get(name, ()):
                block.attributes[attribute].sensitive = True
            if category == "resources":
                provider.resources[name] = block
            elif category == "data-sources":
                provider.data_sources[name] = block
        elif type["name"].endswith("ProviderConfig"):
            provider.configuration = reader.block(type["fqn"])
            provider.configuration.attributes.pop("alias", None)
    return provider


def _member(files: tarfile.TarFile, name: str) -> Any:
    content = files.extractfile(f"package/{name}")
    assert content is not None
    return content


_LINK = re.compile(r"/docs(?:/(?P<category>[a-z-]+)/(?P<page>\w+))?#(?P<attribute>\w+) ")


def _links(type: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield which pages of the provider's documentation a type's properties link to."""
    for prop in type.get("properties", ()):
        if (match := _LINK.search(_docs(prop))) and match["page"]:
            yield match["category"], match["page"]


def _docs(prop: Mapping[str, Any]) -> str:
    return f"{prop['docs'].get('summary', '')} {prop['docs'].get('remarks', '')}"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@dataclass
class _Bindings:
    """The types of one package."""

    types: Mapping[str, Mapping[str, Any]]

    def block(self, name: str, computed: str | None = None) -> Block:
        """Return the block of which an interface gives the arguments, and a class what the provider computes."""
        block = Block()
        for prop in self.types[name].get("properties", ()):
            match = _LINK.search(_docs(prop))
            attribute = match["attribute"] if match else _snake(prop["name"])
            optional = prop.get("optional", False)
            type, struct, many = self._read(prop["type"])
            if struct and prop["docs"].get("summary") == f"{attribute} block.":
                block.blocks[attribute] = (self.block(struct), not optional, many)
            else:
                nested = self.block(struct) if struct else None
                block.attributes[attribute] = Attribute(type, not optional, optional, False, False, nested, many)
        if computed and "id" in block.attributes:
            block.attributes["id"].computed = True
        for attribute, type in self._computed(computed, block) if computed else ():
            block.attributes[attribute] = Attribute(type, computed=True)
        return block

    def _computed(self, name: str, block: Block) -> Iterator[tuple[str, Type]]:
        """Yield the attributes that a class has beside its arguments."""
        properties = {prop["name"]: prop for prop in self.types.get(name, {}).get("properties", ())}
        for prop in properties.values():
            attribute = _snake(prop["name"])
            known = attribute in block.attributes or attribute in block.blocks
            if known or prop.get("static") or not prop.get("immutable") or prop["name"].endswith("Input"):
                continue
            if f"{prop['name']}Input" in properties or attribute in ("fqn", "internal_value"):
                continue
            yield attribute, self._computed_type(prop["type"])

    def _computed_type(self, type: Mapping[str, Any]) -> Type:
        name = type.get("fqn", "")
        if name.endswith("List") and f"{name.removesuffix('List')}OutputReference" in self.types:
            reference = f"{name.removesuffix('List')}OutputReference"
            return ["list", ["object", dict(self._computed(reference, Block()))]]
        if name.endswith("OutputReference") and name in self.types:
            return ["object", dict(self._computed(name, Block()))]
        if name.endswith("Map"):
            return ["map", "bool" if "Boolean" in name else "number" if "Number" in name else "string"]
        return self._read(type)[0]

    def _read(self, type: Mapping[str, Any]) -> tuple[Type, str | None, bool]:
        """Return a type as cty, the struct in it, and whether there may be many of these."""
        if "union" in type:
            # Something, or a token that stands for it.
            return self._read(next(part for part in type["union"]["types"] if "IResolvable" not in part.get("fqn", "")))
        if "collection" in type:
            element, struct, _ = self._read(type["collection"]["elementtype"])
            return ["map" if type["collection"]["kind"] == "map" else "list", element], struct, True
        if "primitive" in type:
            return {"boolean": "bool", "any": "dynamic"}.get(type["primitive"], type["primitive"]), None, False
        name = type["fqn"]
        return "dynamic", name if name in self.types else None, False


# What follows writes protocol buffers by hand, because a handful of messages needs no compiler. The numbers are those
# of https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin6.proto


def _field(number: int, value: bytes | str | int) -> bytes:
    """Return a field of a message; a number that is zero is left out."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value) if value else b""
    value = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SINGLE, _LIST = 1, 2


def _attribute(name: str, attribute: Attribute) -> bytes:
    if attribute.nested is None:
        type = _field(2, json.dumps(attribute.type))
    else:
        nested = b"".join(_field(1, _attribute(*entry)) for entry in attribute.nested.attributes.items())
        type = _field(10, nested + _field(3, _LIST if attribute.many else _SINGLE))
    flags = (attribute.required, attribute.optional, attribute.computed, attribute.sensitive)
    return (
        _field(1, name)
        + type
        + b"".join(_field(number, int(flag)) for number, flag in enumerate(flags, start=4))
        + _field(11, int(name.endswith("_wo")))
    )


def _block(block: Block) -> bytes:
    return b"".join(_field(2, _attribute(*entry)) for entry in block.attributes.items()) + b"".join(
        _field(
            3,
            _field(1, name)
            + _field(2, _block(inner))
            # Where the bindings have one, the providers have a list of at most one, save for this.
            + (
                _field(3, _SINGLE)
                if name == "timeouts"
                else _field(3, _LIST) + _field(4, int(needed)) + _field(5, int(not many))
            ),
        )
        for name, (inner, needed, many) in block.blocks.items()
    )


def _schemas(number: int, blocks: Mapping[str, Block]) -> bytes:
    return b"".join(
        _field(number, _field(1, name) + _field(2, _field(2, _block(block)))) for name, block in blocks.items()
    )


def schema_response(provider: Provider) -> bytes:
    """Return the answer to ``GetProviderSchema``."""
    return (
        _field(1, _field(2, _block(provider.configuration)))
        + _schemas(2, provider.resources)
        + _schemas(3, provider.data_sources)
    )


class _Answers(grpc.GenericRpcHandler):
    """Answers the schema, and nothing, which means "valid", to all other questions."""

    def __init__(self, schema: bytes) -> None:
        self._schema = schema

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        method = details.method.rpartition("/")[2]
        if "Provider/" not in details.method:
            return None
        answer = self._schema if method == "GetProviderSchema" else b""
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


@contextmanager
def served(wheels: Sequence[Path], folder: Path) -> Iterator[dict[str, str]]:
    """Serve the providers of some wheels, and give the environment variable that leads Terraform to them."""
    providers = [read_provider(wheel) for wheel in wheels]
    servers, addresses = [], {}
    for number, provider in enumerate(providers):
        socket = folder / f"{number}.sock"
        server = grpc.server(
            ThreadPoolExecutor(2),
            [_Answers(schema_response(provider))],
            options=[("grpc.max_send_message_length", -1)],
        )
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        servers.append(server)
        addresses[provider.address] = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "unix", "String": str(socket)},
        }
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps(addresses)}
    finally:
        for server in servers:
            server.stop(None)
