"""The command ``promote``: what one environment runs becomes what another one is to run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import CHARTS, App, CommandError, look_into_charts
from constructs_lib.cli.completion import components, environments
from constructs_lib.cli.output import FORMAT, Format, result_console
from constructs_lib.cli.publish import ALLOW, DRY_RUN, KUBECONFIG, publish, root_of, start_takeover
from constructs_lib.repository.git import Git
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.publish.promotion import Promotion
    from constructs_lib.synth.tree import Tree


def command(
    context: typer.Context,
    source: str = typer.Argument(
        metavar="FROM", autocompletion=environments, help="The environment whose declaration goes on."
    ),
    name: str = typer.Argument(metavar="TO", autocompletion=environments, help="The environment to publish."),
    only: list[str] = typer.Option(
        [],
        "--only",
        metavar="COMPONENT",
        autocompletion=components,
        help="Promote this component alone, and what must go with it. May be repeated.",
    ),
    allow: list[str] = ALLOW,
    cluster: str = typer.Option(
        "",
        "--context",
        metavar="NAME",
        help="Context of FROM's cluster in the kubeconfig, whose Argo CD is asked. Default: the current one.",
    ),
    to_cluster: str = typer.Option(
        "",
        "--to-context",
        metavar="NAME",
        help="Context of TO's cluster: tell whether the last publication hangs there, and take over.",
    ),
    kubeconfig: Path = KUBECONFIG,
    skip_health: bool = typer.Option(False, "--skip-health", help="Do not ask whether FROM is healthy."),
    dry_run: bool = DRY_RUN,
    charts: bool = CHARTS,
    form: Format = FORMAT,
) -> None:
    """Publish to TO the declaration that FROM runs, as it is for TO, if FROM is healthy with it.

    What is declared since, and FROM does not run, stays behind. Argo CD of FROM's cluster is asked for its health;
    where it does not answer, nothing is promoted, unless --skip-health says that it is known otherwise.

    Example: python app.py promote local production --dry-run --skip-health
    """
    from constructs_lib.publish.checkout import open_checkout
    from constructs_lib.publish.declared import declared_at
    from constructs_lib.publish.promotion import find_promotion, prepare_promotion

    app: App = context.obj
    first, environment = (app.choose([each])[0] for each in (source, name))
    if first.repository != environment.repository or first is environment:
        raise CommandError(
            f"{source} and {name} are to be two environments that are deployed from the same branch of one repository."
        )
    look_into_charts(charts)
    git, out = Git(app.root), result_console()
    checkout = open_checkout(
        git, environment.repository.branch, environment.repository.url, environment.publication_branch
    )
    running, tree = app.synthesize([first, environment], keep_manifests=True, verify=False)

    def declared(commit: str) -> Mapping[str, Tree]:
        if commit == checkout.head:
            return {source: running, name: tree}
        return declared_at(git, commit, PurePosixPath(app.program), [first, environment])

    def renamed(component: str) -> str:
        return f"{environment.prefix}{component.removeprefix(first.prefix)}"

    promotion = find_promotion(checkout.followed(first.publication_branch), source, name, declared, renamed)
    health = "" if skip_health else _refusal(promotion, running, cluster, kubeconfig)
    takeover, rolling = start_takeover(tree, to_cluster, kubeconfig if to_cluster else None, out)
    publication = prepare_promotion(checkout, promotion, rolling=rolling)
    if not publication.is_empty:
        at = git.run("log", "-1", "--format=%h %s", promotion.commit)
        out.print(f"{source} runs the declaration of {at}")
        for component, commit in promotion.behind.items():
            out.print(f"  but {component} as {git.run('log', '-1', '--format=%h %s', commit)}")
        for component in promotion.unseen:
            out.print(f"  {component} is in {name} alone: {source} shows nothing about it")
        if skip_health:
            out.print(f"Nobody was asked whether {source} is healthy with it.")
        elif not health:
            out.print(f"Argo CD says that {source} is healthy with it.")
    publish(app, publication, takeover, only=only, allow=allow, dry_run=dry_run, refusal=health)


def _refusal(promotion: Promotion, running: Tree, cluster: str, kubeconfig: Path | None) -> str:
    """Return why what an environment runs may not be promoted, because of its health; empty if it may."""
    from constructs_lib.publish.health import unhealthy
    from constructs_lib.publish.takeover import Takeover, kubectl

    source = promotion.source
    try:
        found = unhealthy(Takeover(kubectl(cluster, kubeconfig), root_of(running)), promotion.pins)
    except UserError as error:
        return (
            f"Nothing was promoted, because it is not known whether {source} is healthy with what it runs:\n{error}\n"
            f"--context NAME names the context of its cluster, and --skip-health promotes all the same."
        )
    if not found:
        return ""
    return "\n".join([f"Nothing was promoted: {source} is not healthy with what it runs.", *found])
