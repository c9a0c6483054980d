"""Rules for what people write: what is accepted, and what is said about the rest."""

from __future__ import annotations

import time
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constructs_lib.declare import validation
from constructs_lib.kubernetes.quantity import quantity_problem
from constructs_lib.text import shown

DIGEST = "sha256:" + "0123456789abcdef" * 4


class TestDnsLabel:
    @pytest.mark.parametrize("name", ["a", "web", "web-2", "2nd", "w" * 63])
    def test_right(self, name: str) -> None:
        assert validation.dns_label(name) is None

    @pytest.mark.parametrize("name", ["Web", "-web", "web-", "web.shop", "web_shop", "wéb", "web\n", "web shop"])
    def test_wrong_characters(self, name: str) -> None:
        assert "is no DNS label" in str(validation.dns_label(name))

    def test_names_what_would_be_right(self) -> None:
        assert str(validation.dns_label("My Web_Shop!")).endswith('; for instance "my-web-shop".')

    def test_names_nothing_where_nothing_is_left(self) -> None:
        assert str(validation.dns_label("日本")).endswith("beginning and ending with a letter or digit.")

    def test_too_long(self) -> None:
        assert str(validation.dns_label("w" * 64)).endswith("has 64 characters; at most 63 are allowed.")

    @pytest.mark.parametrize("name", ["", None, 5, ["web"]])
    def test_no_text(self, name: object) -> None:
        assert str(validation.dns_label(name)).startswith("a name is a text that is not empty, not ")

    @given(st.text(max_size=63))
    def test_hint_is_right(self, name: str) -> None:
        _, instead, better = str(validation.dns_label(name)).partition('; for instance "')
        assert not instead or validation.dns_label(better.removesuffix('".')) is None


class TestPorts:
    def test_name(self) -> None:
        assert validation.port_name("grpc-2") is None
        assert validation.port_name("HTTP") is not None
        assert 'the port name "a--b" must have at most 15' in str(validation.port_name("a--b"))

    @pytest.mark.parametrize("number", [1, 8080, 65535])
    def test_right_number(self, number: int) -> None:
        assert validation.port_number(number) is None

    @pytest.mark.parametrize("number", [0, -1, 65536, "8080", 80.0, True, None])
    def test_wrong_number(self, number: object) -> None:
        assert str(validation.port_number(number)).endswith(" is no port; a whole number from 1 to 65535 is needed.")


class TestQuantity:
    @pytest.mark.parametrize("text", ["0", "0Gi", "-1Gi"])
    def test_must_be_above_zero(self, text: str) -> None:
        assert str(quantity_problem(text, "10Gi")).endswith('is no quantity above zero; write it like "10Gi".')

    @pytest.mark.parametrize("text", ["much", "1Kilo", "B", "", None, 5])
    def test_must_be_one(self, text: object) -> None:
        assert str(quantity_problem(text, "10Gi")).endswith(' is no quantity; write it like "10Gi".')

    @pytest.mark.parametrize(
        ("text", "meant"), [("256MB", "256Mi"), ("1.5 GB", "1.5Gi"), ("2gb", "2Gi"), ("3TiB", "3Ti")]
    )
    def test_unit_with_b_is_told(self, text: str, meant: str) -> None:
        assert str(quantity_problem(text, "10Gi")).endswith(f' is no quantity: a unit has no B; write "{meant}".')

    def test_bytes_in_thousandths_are_a_slip(self) -> None:
        assert quantity_problem("256m", "256Mi") == '"256m" is less than a megabyte; write it like "256Mi".'

    def test_processors_in_thousandths_are_right(self) -> None:
        assert quantity_problem("256m", "500m") is None


class TestImage:
    @pytest.mark.parametrize("reference", ["postgres:18.6", f"postgres@{DIGEST}", f"postgres:latest@{DIGEST}"])
    def test_right(self, reference: str) -> None:
        assert validation.image(reference) is None

    def test_tag_that_can_move(self) -> None:
        assert '"latest" can mean another image tomorrow' in str(validation.image("example/web:latest"))

    def test_neither_tag_nor_digest(self) -> None:
        assert "has neither a digest nor a version" in str(validation.image("registry.example.com:5000/web"))

    @pytest.mark.parametrize("reference", ["", "https://web:1.0.0", None])
    def test_malformed(self, reference: object) -> None:
        assert "is no image reference" in str(validation.image(reference))


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("@daily", None),
        ("0 0 * * SUN", None),
        ("0 0 31 2 *", "no month has that day, so that it never comes"),
        ("* * * * 7", '"7" is no day of the week from 0 to 6, and Sunday is 0'),
        (5, "it is no text"),
    ],
)
def test_cron(schedule: object, problem: str | None) -> None:
    said = f'{shown(schedule)} is no schedule: {problem}; write it like "17 3 * * *".'
    assert validation.cron(schedule) == (said if problem else None)


class TestSecrets:
    @pytest.mark.parametrize(
        "name",
        ["PASSWORD", "DB_PASS", "db_password", "JWT_SECRET", "GITHUB_TOKEN", "MAPBOX_API_KEY", "AKKA_LICENSE_KEY"],
    )
    def test_secret_by_its_name(self, name: str) -> None:
        assert "looks like a secret and is given as plain text" in str(validation.plain_secret(name, "hunter2"))

    @pytest.mark.parametrize(
        "name", ["PASSWORD_FILE", "SECRETARY", "TOKEN_LIFETIME", "KEYBOARD", "PORT", "PWD", "BYPASS"]
    )
    def test_other_names(self, name: str) -> None:
        assert validation.plain_secret(name, "5052") is None

    def test_empty_text_is_no_secret(self) -> None:
        assert validation.plain_secret("PASSWORD", "") is None

    @pytest.mark.parametrize(
        "value", ["postgres://shop:hunter2@database/shop", "AMQP://a:b@c", "redis://:hunter2@cache"]
    )
    def test_password_in_a_url(self, value: str) -> None:
        assert "holds a URL with a password" in str(validation.plain_secret("DATABASE", value))

    def test_token_by_itself(self) -> None:
        assert "holds a private key or a token" in str(validation.plain_secret("ADDRESS", f"ghp_{'a1' * 18}"))

    @pytest.mark.parametrize("value", ["https://example.com:8080/a@b", "git@github.com:team/shop.git", "mailto:a@b.c"])
    def test_url_without_a_password(self, value: str) -> None:
        assert validation.plain_secret("ADDRESS", value) is None

    def test_message_does_not_repeat_the_secret(self) -> None:
        told = [validation.plain_secret("PASSWORD", "hunter2"), validation.plain_secret("URL", "a://b:hunter2@c")]
        assert "hunter2" not in str(told)

    def test_long_text_takes_no_time(self) -> None:
        started = time.process_time()
        assert validation.plain_secret("CERTIFICATE", "a" * 200_000) is None
        assert time.process_time() - started < 60


class TestGit:
    @pytest.mark.parametrize(
        "url",
        ["https://github.com/team/shop.git", "ssh://git@example.com:2222/shop.git", "git@github.com:team/shop.git"],
    )
    def test_right_address(self, url: str) -> None:
        assert validation.git_url(url) is None

    @pytest.mark.parametrize("url", ["", "github.com/team/shop", "http://github.com/team/a", "https://github.com", 5])
    def test_wrong_address(self, url: object) -> None:
        assert "is no Git repository" in str(validation.git_url(url))

    @pytest.mark.parametrize("login", ["shop:hunter2", "hunter2"])
    @pytest.mark.parametrize("scheme", ["https", "http", "HTTPS"])
    def test_login_is_refused_and_not_repeated(self, scheme: str, login: str) -> None:
        told = str(validation.git_url(f"{scheme}://{login}@github.com/team/shop.git"))
        assert "holds a login" in told
        assert "hunter2" not in told

    @pytest.mark.parametrize("branch", ["main", "release/1.2", "feature-x", "a.b", "v1"])
    def test_right_branch(self, branch: str) -> None:
        assert validation.git_branch(branch) is None

    @pytest.mark.parametrize(
        "branch",
        [
            "",
            "refs/heads/main",
            "-x",
            "/x",
            "x/",
            "a b",
            "a..b",
            "a//b",
            "x.lock",
            "x.",
            ".x",
            "a/.b",
            "a~1",
            "a@{1}",
            "@",
        ],
    )
    def test_wrong_branch(self, branch: str) -> None:
        assert "is no branch" in str(validation.git_branch(branch))


class TestCharts:
    @pytest.mark.parametrize("version", ["1.2.3", "v1.2.3", "1.2.3-rc.1", "1.2.3+build"])
    def test_right_version(self, version: str) -> None:
        assert validation.chart_version(version) is None

    @pytest.mark.parametrize("version", ["", "1", "1.2", "^1.2.3", "~1.2.3", ">=1.2.3", "1.2.x", "*", "latest", None])
    def test_range(self, version: object) -> None:
        assert "is no exact chart version" in str(validation.chart_version(version))

    @pytest.mark.parametrize("url", ["https://charts.example.com", "https://example.com/charts", "oci://example.com/a"])
    def test_right_repository(self, url: str) -> None:
        assert validation.chart_repository(url) is None

    @pytest.mark.parametrize("url", ["", "charts.example.com", "http://charts.example.com", "https://"])
    def test_wrong_repository(self, url: str) -> None:
        assert "is no chart repository" in str(validation.chart_repository(url))

    @pytest.mark.parametrize("name", ["", "the cache", "-cache", "*"])
    def test_wrong_name(self, name: str) -> None:
        assert "is no name of a chart" in str(validation.chart_name(name))

    def test_values_that_yaml_can_hold(self) -> None:
        assert validation.chart_values({"a": [1, 2.5, "x", True, None, {"b": ()}]}) is None

    @pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), {5: "x"}, "\ud83d"])
    def test_values_that_it_cannot_hold(self, value: object) -> None:
        assert "use texts, numbers" in str(validation.chart_values({"a": {"b": value}}))


class TestNames:
    def test_variable(self) -> None:
        assert validation.environment_variable("http.proxy") is None
        assert "is no name of an environment variable" in str(validation.environment_variable("1A"))

    @pytest.mark.parametrize("name", ["shop", "shop_2", "s" * 48])
    def test_right_name_in_a_database(self, name: str) -> None:
        assert validation.sql_name(name) is None

    @pytest.mark.parametrize("name", ["", "Shop", "2shop", "shop-2", "s" * 49, 'shop"; drop', None])
    def test_wrong_name_in_a_database(self, name: object) -> None:
        assert "is no plain name in a database" in str(validation.sql_name(name))

    @pytest.mark.parametrize("name", ["api.example.com", "a-b.c.de"])
    def test_right_host(self, name: str) -> None:
        assert validation.host_name(name) is None

    @pytest.mark.parametrize(
        "name", ["", "localhost", "https://example.com", "example.com:443", "example.com/", "10.0.0.1", "*.a.com", None]
    )
    def test_wrong_host(self, name: object) -> None:
        assert "is no full host name" in str(validation.host_name(name))

    def test_label(self) -> None:
        assert validation.label("example.com/team", "A_b.c-1") is None
        assert "is no name of a label" in str(validation.label("my team", "shop"))
        assert "is no value of a label" in str(validation.label("team", "-a"))

    @pytest.mark.parametrize("name", ["cluster.local", "local", "a.b.c"])
    def test_right_domain(self, name: str) -> None:
        assert validation.domain(name) is None

    @pytest.mark.parametrize("name", ["", ".local", "cluster.local.", "Cluster.local", "a b"])
    def test_wrong_domain(self, name: str) -> None:
        assert "is no DNS domain" in str(validation.domain(name))

    @pytest.mark.parametrize("block", ["10.0.0.0/8", "0.0.0.0/0", "192.168.1.1/32"])
    def test_right_network(self, block: str) -> None:
        assert validation.network(block) is None

    @pytest.mark.parametrize("block", ["", "10.0.0.0/33", "fd00::/8", "example.com"])
    def test_wrong_network(self, block: str) -> None:
        assert "is no network" in str(validation.network(block))

    def test_address_in_a_network(self) -> None:
        assert 'write "10.0.0.0/8", or "10.0.0.1/32"' in str(validation.network("10.0.0.1/8"))

    def test_files_of_one_name(self) -> None:
        paths = [PurePath("a/shop.sql"), PurePath("b/shop.sql")]
        assert validation.file_names(paths) == 'two files are called "shop.sql"; give each one a name of its own.'

    @pytest.mark.parametrize("name", ["my tables.sql", "täbles.sql"])
    def test_file_name_that_is_no_key(self, name: str) -> None:
        assert "is no name for a file in Kubernetes" in str(validation.file_names([name]))

    def test_files_of_different_names(self) -> None:
        assert validation.file_names(["/etc/web/tls.crt", "/etc/web/tls.key"]) is None


class TestJavaHeap:
    @pytest.mark.parametrize(("heap", "limit"), [("512M", "1536Mi"), ("1G", "1536Mi"), ("1024M", "1536Mi")])
    def test_right(self, heap: str, limit: str) -> None:
        assert validation.java_heap(heap, limit) is None

    def test_leaves_a_third_of_the_memory(self) -> None:
        told = validation.java_heap("1025M", "1536Mi")
        assert told == "1025M is more than two thirds of the memory limit 1536Mi; at most 1024M."

    @pytest.mark.parametrize("heap", ["", "512", "512Mi", "0M", "1.5G", "512m", None])
    def test_no_size(self, heap: object) -> None:
        assert "is no size of a Java heap" in str(validation.java_heap(heap, "1536Mi"))

    def test_says_nothing_about_a_limit_that_is_wrong_itself(self) -> None:
        assert validation.java_heap("512M", "much") is None
