"""Dashboards as Grafana reads them: JSON by Grafana's own builders, the same bytes on any machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from constructs_lib.grafana import style
from constructs_lib.grafana.model import COLUMNS, Dashboard, Panel, Query, Variable

_Builder = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel
#: Grafana's data source that the dashboard is told by its first variable.
_DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Units that Grafana knows by no name: ``suffix:`` is shown behind the number.
_UNITS = {"cores": "suffix: cores"}


def to_json(dashboard: Dashboard, system: str) -> str:
    """Return a dashboard as JSON.

    Args:
        dashboard: The dashboard.
        system: Name of the system, by which its dashboards find each other.
    """
    builder = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([system])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .editable()
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            build.DashboardLink(f"All of {system}")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([system])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(False)
        )
    )
    for title, uid in dashboard.links:
        builder.link(build.DashboardLink(title).type(model.DashboardLinkType.LINK).url(f"/d/{uid}").keep_time(True))
    for variable in dashboard.variables:
        builder.with_variable(_variable(variable))
    numbers = count(1)
    for title, panels in _laid_out(dashboard):
        y = panels[0][1].y - 1
        row = build.Row(title).id(next(numbers)).grid_pos(model.GridPos(x=0, y=y, w=COLUMNS, h=1))
        builder.with_row(row)
        for panel, position in panels:
            builder.with_panel(_panel(panel).id(next(numbers)).grid_pos(position))
    content = json.loads(JSONEncoder().encode(builder.build()))
    for variable in content["templating"]["list"]:
        # The builders give these to every kind of variable; Grafana's schema has them for intervals alone.
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _laid_out(dashboard: Dashboard) -> Iterator[tuple[str, list[tuple[Panel, model.GridPos]]]]:
    """Yield each row's title with its panels and their places: from left to right, then below the highest of them."""
    y = 0
    for row in dashboard.rows:
        x, y, height = 0, y + 1, 0
        placed = []
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            placed.append((panel, model.GridPos(x=x, y=y, w=panel.width, h=panel.height)))
            x, height = x + panel.width, max(height, panel.height)
        y += height
        yield row.title, placed


def _variable(variable: Variable) -> build.CustomVariable | build.QueryVariable:
    if variable.query:
        asked = (
            build.QueryVariable(variable.name)
            .label(variable.label)
            .datasource(_DATASOURCE)
            .query({"qryType": 1, "query": variable.query, "refId": variable.name})
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
        )
        if variable.several:
            asked.multi(True).include_all(True)
            asked.current(model.VariableOption(selected=True, text="All", value="$__all"))
        return asked
    first = variable.values[0]
    return (
        build.CustomVariable(variable.name)
        .label(variable.label)
        .values(",".join(variable.values))
        .options([model.VariableOption(selected=value == first, text=value, value=value) for value in variable.values])
        .current(model.VariableOption(selected=True, text=first, value=first))
    )


def _panel(panel: Panel) -> _Builder:
    builder: _Builder
    if panel.kind == "timeseries":
        builder = _time_series(panel)
    elif panel.kind == "stat":
        builder = (
            stat.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            # Only an instant is asked for: the last value of a range may be that of a store which died an hour ago.
            .graph_mode(options.BigValueGraphMode.NONE)
            .color_mode(options.BigValueColorMode.VALUE)
        )
    elif panel.kind == "bargauge":
        builder = (
            bargauge.Panel()
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .orientation(options.VizOrientation.HORIZONTAL)
            .display_mode(options.BarGaugeDisplayMode.GRADIENT)
        )
    else:
        builder = table.Panel()
    builder.title(panel.title).description(panel.description).datasource(_DATASOURCE)
    builder.unit(_UNITS.get(panel.unit, panel.unit)).min(0).no_value("–")
    if panel.maximum is not None:
        builder.max(panel.maximum)
    builder.thresholds(_thresholds(panel))
    builder.color_scheme(
        build.FieldColor().mode(
            model.FieldColorModeId.PALETTE_CLASSIC if panel.kind == "timeseries" else model.FieldColorModeId.THRESHOLDS
        )
    )
    if panel.link:
        builder.links([build.DashboardLink("Details").type(model.DashboardLinkType.LINK).url(f"/d/{panel.link}")])
    for letter, query in zip(_LETTERS, panel.queries, strict=False):
        builder.with_target(_target(panel, letter, query))
        if properties := _overridden(query):
            builder.override_by_query(letter, properties)
    return builder


def _time_series(panel: Panel) -> timeseries.Panel:
    builder = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(10)
        .show_points(options.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if panel.warning is not None or panel.critical is not None:
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    return builder


def _overridden(query: Query) -> list[model.DynamicConfigValue]:
    properties = []
    if query.colour:
        properties.append(model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": query.colour}))
    if query.unit:
        properties.append(model.DynamicConfigValue("unit", _UNITS.get(query.unit, query.unit)))
        properties.append(model.DynamicConfigValue("thresholds", _thresholds(query).build()))
    return properties


def _thresholds(panel: Panel | Query) -> build.ThresholdsConfig:
    limits = [(panel.warning, style.WARNING), (panel.critical, style.CRITICAL)]
    set_limits = [(value, colour) for value, colour in limits if value is not None]
    if panel.falling:
        # Each colour holds from its value upwards: below the critical one it is red.
        colours = [colour for _, colour in reversed(set_limits)]
        values = [value for value, _ in reversed(set_limits)]
        steps = list(zip([None, *values], [*colours, style.GOOD], strict=True))
    else:
        steps = [(None, style.GOOD), *set_limits]
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=colour) for value, colour in steps])
    )


def _target(panel: Panel, letter: str, query: Query) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter)
    target.datasource(_DATASOURCE)
    if panel.kind == "timeseries":
        return target.range()
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    return target.instant()
