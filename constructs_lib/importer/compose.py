"""A declaration from a Compose file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.credentials import LOGIN, holds_secret
from constructs_lib.importer import compose_arguments as arguments
from constructs_lib.importer.code import Call, Name, call, flat
from constructs_lib.importer.compose_file import ComposeFile, load, marks, read_env, unmarked
from constructs_lib.importer.compose_volumes import read_files, read_volumes
from constructs_lib.importer.edges import break_circles, find_edges
from constructs_lib.importer.model import GUESSED, LEFT_OUT, SUPPLIED, Imported, Need, Program, label, merged_level
from constructs_lib.importer.openings import open_hosts
from constructs_lib.importer.stores import Store, store_of
from constructs_lib.importer.values import image, level_of, resources, secret, variable
from constructs_lib.importer.words import READ, SILENT, STORES
from constructs_lib.kubernetes import names as kubernetes_names

#: What secrets to supply are for, in the text of arguments.
_PURPOSES = re.compile(r'supplied\("([^"]*)"\)')
#: Tag of an image that is not built yet.
_EXACT_TAG = "0.1.0"


def read_compose(imported: Imported, file: Path, profiles: frozenset[str] = frozenset()) -> None:
    """Give a system what a Compose file says.

    Args:
        imported: The system.
        file: The file.
        profiles: Profiles whose services are taken as well.

    Raises:
        UserError: The file cannot be read, or has mistakes.
    """
    _Reader(imported, load(file), profiles).read()


class _Reader:
    """Reads the services of one file."""

    def __init__(self, imported: Imported, compose: ComposeFile, profiles: frozenset[str]) -> None:
        self.imported, self.compose, self.profiles = imported, compose, profiles
        self.group = imported.group(imported.name)
        self.services = {name: each for name, each in compose.services.items() if self._starts(name, each)}
        self.ids = {name: label(name) for name in self.services}
        self.hosts = {alias: self.ids[name] for name in self.services for alias in self._aliases(name)}
        self.env = {name: self._variables(name) for name in self.services}
        self.stores: dict[str, Store] = {}
        self.completed = {
            other
            for each in self.services.values()
            for other, how in _dependencies(each)
            if how == "service_completed_successfully"
        }

    def read(self) -> None:
        for name in self.services:
            self._service(name)
        for name in self.services:
            self._logins(name)
        find_edges(self.imported)
        for name in self.services:
            self._facts(name)
            self._order(name)
        break_circles(self.imported)
        open_hosts(self.imported)
        self._tell()
        said = {text for each in self.imported.programs for text in _PURPOSES.findall(flat(each.arguments))}
        self.imported.notes[SUPPLIED] = [
            each for each in self.imported.notes[SUPPLIED] if each.partition(",")[0] in said
        ]

    def _starts(self, name: str, service: Mapping[str, Any]) -> bool:
        named = {str(each) for each in service.get("profiles") or ()}
        if named and not named & self.profiles:
            which = ", ".join(sorted(named))
            self.imported.note(LEFT_OUT, f"{name}: it is of the profile {which}; --profile takes it as well.")
            return False
        return True

    def _aliases(self, name: str) -> Iterator[str]:
        """Yield the names by which others call a service."""
        service = self.compose.services[name]
        yield name
        if service.get("container_name"):
            yield str(service["container_name"])
        networks = service.get("networks")
        for each in (networks or {}).values() if isinstance(networks, dict) else ():
            yield from map(str, (each or {}).get("aliases") or ())

    def _variables(self, name: str) -> dict[str, str]:
        """Return the variables of a service, with the names of its servers as they are in the cluster."""
        service = self.compose.services[name]
        found: dict[str, str] = {}
        for each in arguments.listed(service.get("env_file")):
            path = self.compose.file.parent / str(each.get("path") if isinstance(each, dict) else each)
            if path.is_file():
                found |= read_env(path)
            else:
                self.imported.note(LEFT_OUT, f"{name}: its env_file {path.name} is not there.")
        for key, value in (service.get("environment") or {}).items():
            if value is None:
                self.imported.note(GUESSED, f"{name}: {key} comes from the shell that starts it, and is left out.")
            else:
                found[str(key)] = str(value)
        return {key: self._renamed(value) for key, value in found.items()}

    def _renamed(self, text: str) -> str:
        for alias, id in self.hosts.items() if hasattr(self, "hosts") else ():
            if alias != id:
                text = re.sub(rf"(?<![\w.-]){re.escape(alias)}(?=:[0-9]|/|$|,)", id, text)
        return text

    # One service.

    def _service(self, name: str) -> None:
        service, env, id = self.services[name], self.env[name], self.ids[name]
        for key in sorted({*service} - READ - SILENT):
            if not key.startswith("x-"):
                self.imported.note(LEFT_OUT, f"{name}: {key}.")
        reference = self._image(name)
        words = [each for key in ("entrypoint", "command") for each in arguments.words(service.get(key))]
        has_volume = any(each.kind == "volume" for each in arguments.mounts(service))
        store = store_of(unmarked(reference), env, words, has_volume=has_volume)
        if store and not store.why_not:
            self._store(name, store, reference)
            return
        if store:
            self.imported.note(GUESSED, f"{name} is declared as it is, and not as a {store.kind}: {store.why_not}.")
        program = Program(self._kind(name, has_volume), self.group.id, id)
        self.imported.programs.append(program)
        given = program.arguments
        given["image"] = image(self.imported, id, reference)
        program.arguments |= self._words(name)
        ports = arguments.ports(service, reference, self._called_at(id))
        if program.kind != "Job":
            self._ports(program, name, ports)
        given |= {"env": {}}
        for key, text in env.items():
            given["env"][key] = self._value(id, key, text)
        probe = arguments.probe(service, ports, env)
        if probe and program.kind != "Job":
            given |= probe
        self._size(program, service)
        read_files(self.imported, self.compose, program, service)
        read_volumes(self.imported, self.compose, program, service)
        self._security(program, service)
        if seconds := arguments.seconds(service.get("stop_grace_period")):
            given |= {"drain_seconds": seconds} if program.kind != "Job" else {}
        if folder := service.get("working_dir"):
            self._patch(program, {"workingDir": str(folder)})

    def _image(self, name: str) -> str:
        service = self.services[name]
        if reference := service.get("image"):
            return str(reference)
        made = f"registry.example.com/{self.imported.name}/{self.ids[name]}:{_EXACT_TAG}"
        self.imported.note(GUESSED, f"{name}: its image is built; {made} stands for the one that you push.")
        return made

    def _kind(self, name: str, has_volume: bool) -> str:
        service = self.services[name]
        if name in self.completed:
            return "Job"
        if str((service.get("deploy") or {}).get("mode", "")) == "global":
            return "DaemonSet"
        reference = kubernetes_names.image(self._reference(name))
        is_own = "build" in service or reference is None or "/" in reference.path or bool(reference.registry)
        return "StatefulSet" if has_volume and not is_own else "Microservice"

    def _reference(self, name: str) -> str:
        return unmarked(str(self.services[name].get("image") or ""))

    def _words(self, name: str) -> dict[str, Any]:
        """Return what runs; a secret in a command is a variable there."""
        found: dict[str, Any] = {}
        for key, argument in (("entrypoint", "command"), ("command", "args")):
            words = [self._renamed(each) for each in arguments.words(self.services[name].get(key))]
            for mark in (mark for each in words for mark in marks(each)):
                self.env[name].setdefault(mark, f"\0{mark}\0")
            if words:
                found[argument] = [unmarked(each) for each in words]
        return found

    def _called_at(self, id: str) -> set[int]:
        """Return the ports at which variables of others call a service."""
        like = re.compile(rf"(?<![\w.-]){re.escape(id)}:([0-9]{{1,5}})(?![\w.-])")
        return {int(match) for env in self.env.values() for text in env.values() for match in like.findall(text)}

    def _ports(self, program: Program, name: str, ports: Mapping[str, arguments.Listens]) -> None:
        program.ports = {port: each.number for port, each in ports.items()}
        program.hosts = {program.id: {each.number: port for port, each in ports.items()}}
        if ports:
            program.arguments["ports"] = {
                port: call("Port", each.number, protocol="UDP") if each.protocol == "UDP" else each.number
                for port, each in ports.items()
            }
        published = {port: each.published for port, each in ports.items() if each.published}
        if published and self._is_store(name):
            self.imported.note(LEFT_OUT, f"{name}: its port is published, and no load balancer opens a data store.")
        elif published:
            program.arguments["exposed"] = Call("LoadBalancer", (published,))
            numbers = ", ".join(map(str, published.values()))
            text = f"{name}: {numbers} is published, so a load balancer opens it to the world; or take exposed away."
            self.imported.note(GUESSED, text)

    def _is_store(self, name: str) -> bool:
        reference = kubernetes_names.image(self._reference(name))
        return reference is not None and reference.name in STORES

    def _value(self, id: str, key: str, text: str) -> Any:
        if marks(text):
            # The same value for all that read it.
            return secret(self.imported, self.imported.name, key)
        return variable(self.imported, id, key, text)

    def _size(self, program: Program, service: Mapping[str, Any]) -> None:
        deploy = service.get("deploy") or {}
        requests, limits = arguments.sizes(service)
        if limits and "cpu" not in requests:
            # In Compose, a limit reserves nothing.
            requests["cpu"] = "100m"
            self.imported.note(GUESSED, f"{program.id}: it asks for 100m of CPU, of which nothing is said.")
        if found := resources(self.imported, program.id, requests, limits):
            program.arguments["resources"] = found
        replicas = arguments.whole(deploy.get("replicas", service.get("scale")))
        shares = any(each.kind == "volume" for each in arguments.mounts(service)) and program.kind == "Microservice"
        if shares and replicas not in (None, 1):
            self.imported.note(
                GUESSED, f"{program.id}: its {replicas} containers share a volume, and so it has one pod."
            )
        elif program.kind in ("Microservice", "StatefulSet") and replicas not in (None, 1):
            program.arguments["replicas"] = replicas
        for key in sorted({*deploy} - {"replicas", "resources", "mode", "restart_policy", "update_config", "labels"}):
            self.imported.note(LEFT_OUT, f"{program.id}: deploy.{key}.")

    def _security(self, program: Program, service: Mapping[str, Any]) -> None:
        user, _, _ = str(service.get("user") or "").partition(":")
        if user.isdigit() and int(user):
            program.arguments["user"] = int(user)
        elif user in ("0", "root"):
            self.group.pod_security = merged_level(self.group.pod_security, "baseline")
            self._patch(program, {}, {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}})
        elif user:
            self.imported.note(GUESSED, f'{program.id}: it runs as 10001, because "{user}" is no number.')
        if added := [str(each) for each in service.get("cap_add") or ()]:
            self.group.pod_security = merged_level(self.group.pod_security, level_of(added))
            self._patch(program, {"securityContext": {"capabilities": {"add": added}}})

    def _patch(self, program: Program, container: Mapping[str, Any], pod: Mapping[str, Any] | None = None) -> None:
        """Have a patch say something of a program's container, or of its pods."""
        kind = {"Microservice": "Deployment"}.get(program.kind, program.kind)
        known = program.patches.setdefault((kind, program.id), {"spec": {"template": {"spec": {}}}})
        spec = known["spec"]["template"]["spec"]
        spec |= pod or {}
        if container:
            [own] = spec.setdefault("containers", [{"name": program.id}])
            for key, value in container.items():
                own[key] = [*own.get(key, ()), *value] if isinstance(value, list) else value

    # Stores.

    def _store(self, name: str, store: Store, reference: str) -> None:
        id, service = self.ids[name], self.services[name]
        self.stores[name] = store
        program = Program(store.kind, self.group.id, id, {"image": reference, **store.arguments})
        program.ports, program.hosts = {store.endpoint: store.port}, {id: {store.port: store.endpoint}}
        if store.kind == "RabbitMQ":
            program.hosts[id][15672] = "management"
        requests, limits = arguments.sizes(service)
        if found := resources(self.imported, id, requests, limits):
            program.arguments["resources"] = found
        self.imported.programs.append(program)
        if "storage" in store.arguments:
            self.imported.note(
                GUESSED, f"{name}: its volume has {store.arguments['storage']}, of which nothing is said."
            )
        for each in arguments.mounts(service):
            if each.kind == "bind":
                self._schema(program, name, each)
        if arguments.published(service):
            self.imported.note(LEFT_OUT, f"{name}: its port is published, and no load balancer opens a data store.")

    def _schema(self, program: Program, name: str, mount: arguments.Mount) -> None:
        """Take a script of the first start as a schema, if it may be applied again."""
        file = self.compose.file.parent / mount.source
        if (
            program.kind == "Postgres"
            and file.suffix == ".sql"
            and file.is_file()
            and "schema" not in program.arguments
        ):
            text = file.read_text(encoding="utf-8")
            if arguments.may_repeat(text):
                path = f"schemas/{program.id}.sql"
                self.imported.files[path] = text
                program.arguments["schema"] = Name(f'HERE / "{path}"')
                return
            reason = "a schema is applied again, and not all of it says IF NOT EXISTS"
        else:
            reason = "no argument says it"
        self.imported.note(LEFT_OUT, f"{name}: {mount.source}, mounted at {mount.target}: {reason}.")

    # Passwords of stores, and what else they tell.

    def _logins(self, name: str) -> None:
        """Have passwords of stores come from the stores, also those inside of addresses."""
        if name in self.stores:
            return
        program = self.imported.program((self.group.id, self.ids[name]))
        env = program.arguments["env"]
        for key, text in self.env[name].items():
            if key not in env:
                env[key] = self._value(program.id, key, text)
            found = self._with_password(key, text)
            if found is None:
                continue
            server, store = found
            need = self._need(program, server, store)
            if text == store.password:
                del env[key]
                need.variables[key] = "password"
                continue
            password = f"{server}_PASSWORD".upper().replace("-", "_")
            while password in self.env[name] and self.env[name][password] != store.password:
                password += "_"
            need.variables.setdefault(password, "password")
            login = LOGIN.search(unmarked(text))
            assert login is not None
            env[key] = unmarked(text).replace(f":{login[2]}@", f":$({password})@", 1)

    def _with_password(self, key: str, text: str) -> tuple[str, Store] | None:
        """Return the store whose password a variable has, alone or in an address of that store."""
        fitting = []
        for name, store in self.stores.items():
            if not store.password:
                continue
            if text == store.password and (marks(text) or holds_secret(key, variables=True)):
                fitting.append((self.ids[name], store))
            match = LOGIN.search(unmarked(text))
            if match and match[2] == unmarked(store.password):
                host = re.match(r"[\w.-]+", unmarked(text)[match.end() :])
                if host and host[0] == self.ids[name]:
                    return self.ids[name], store
        if len(fitting) > 1:
            words = {
                "Postgres": "DB|DATABASE|POSTGRES|PG|SQL",
                "RabbitMQ": "RABBIT|AMQP|BROKER|MQ",
                "Valkey": "REDIS|CACHE|VALKEY",
            }
            named = [each for each in fitting if re.search(f"{each[0]}|{words[each[1].kind]}", key, re.IGNORECASE)]
            fitting = named or fitting
        return fitting[0] if fitting else None

    def _need(self, program: Program, server: str, store: Store) -> Need:
        key = (self.group.id, server)
        for each in program.needs:
            if each.server == key and each.endpoint == store.endpoint:
                return each
        program.needs.append(Need(key, store.endpoint))
        return program.needs[-1]

    def _facts(self, name: str) -> None:
        """Have what stores tell come from them: the database, the user."""
        if name in self.stores:
            return
        program = self.imported.program((self.group.id, self.ids[name]))
        env = program.arguments.get("env", {})
        stores = {self.ids[other]: store for other, store in self.stores.items()}
        needs = [(each, stores[each.server[1]]) for each in program.needs if each.server[1] in stores]
        for attribute, like in (("database", "DB|DATABASE|NAME"), ("username", "USER|USERNAME|LOGIN")):
            for key in [key for key in env if re.search(f"({like})$", key, re.IGNORECASE)]:
                fitting = [need for need, store in needs if env[key] == store.facts.get(attribute)]
                family = key.rpartition("_")[0]
                related = [
                    need for need in fitting if any(each.rpartition("_")[0] == family for each in need.variables)
                ]
                if len(chosen := related or fitting) == 1:
                    chosen[0].variables[key] = attribute
                    del env[key]
        if not env:
            program.arguments.pop("env", None)

    def _order(self, name: str) -> None:
        client = self.imported.program((self.group.id, self.ids[name]))
        for other, how in _dependencies(self.services[name]):
            if other not in self.services:
                continue
            server = self.imported.program((self.group.id, self.ids[other]))
            if any(each.server == server.key for each in client.needs):
                continue
            endpoint = "" if how == "service_completed_successfully" else next(iter(server.ports), "")
            client.needs.append(Need(server.key, endpoint))

    def _tell(self) -> None:
        for name in sorted(self.compose.missing):
            self.imported.note(GUESSED, f"the variable {name} is set nowhere; it is empty.")
        if self.compose.used:
            said = ", ".join(f"{name}={value}" for name, value in sorted(self.compose.used.items()))
            self.imported.note(GUESSED, f"variables of the file are filled in: {said}.")
        text = "every program runs as a numeric user, with a root file system that is read-only but for /tmp."
        self.imported.note(GUESSED, text)


def _dependencies(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a service waits for, and until when."""
    said = service.get("depends_on") or ()
    if isinstance(said, dict):
        yield from ((name, str((how or {}).get("condition", "service_started"))) for name, how in said.items())
    else:
        yield from ((str(name), "service_started") for name in said)
