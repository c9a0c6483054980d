"""Dashboards as Grafana reads them: JSON by Grafana's own builders, the same bytes on any machine."""

import json
from itertools import count
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from constructs_lib.grafana.model import CRITICAL, GOOD, WARNING, Dashboard, Panel, Query, Thresholds, Variable

_Builder = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel
#: The data source that is chosen by the dashboard's first variable.
_DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Width of Grafana's grid.
_COLUMNS = 24
#: Units that Grafana has no name for: it shows what follows ``suffix:`` behind the number.
_UNITS = {"cores": "suffix: cores"}


def to_json(dashboard: Dashboard, system: str) -> str:
    """Return a dashboard as JSON; the dashboards of a system find each other by its name."""
    builder = build.Dashboard(dashboard.title).uid(dashboard.uid).description(dashboard.description).tags([system])
    builder.timezone("browser").tooltip(model.DashboardCursorSync.CROSSHAIR).time("now-1h", "now").refresh("30s")
    builder.editable()
    builder.with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    others = build.DashboardLink(f"All of {system}").type(model.DashboardLinkType.DASHBOARDS).tags([system])
    builder.link(others.as_dropdown(True).keep_time(True).include_vars(False))
    for title, uid in dashboard.links:
        builder.link(build.DashboardLink(title).type(model.DashboardLinkType.LINK).url(f"/d/{uid}").keep_time(True))
    for variable in dashboard.variables:
        builder.with_variable(_variable(variable))
    numbers = count(1)
    y = 0
    for row in dashboard.rows:
        position = model.GridPos(x=0, y=y, w=_COLUMNS, h=1)
        builder.with_row(build.Row(row.title).id(next(numbers)).grid_pos(position))
        # From left to right, and then below the highest of them.
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            position = model.GridPos(x=x, y=y, w=panel.width, h=panel.height)
            builder.with_panel(_panel(panel).id(next(numbers)).grid_pos(position))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    content = json.loads(JSONEncoder().encode(builder.build()))
    for variable in content["templating"]["list"]:
        # The builders write these for every variable; Grafana's schema has them for intervals only.
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> build.CustomVariable | build.QueryVariable:
    if variable.query:
        asked = build.QueryVariable(variable.name).label(variable.label).datasource(_DATASOURCE)
        asked.query({"qryType": 1, "query": variable.query, "refId": variable.name})
        asked.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
        if variable.several:
            asked.multi(True).include_all(True)
            asked.current(model.VariableOption(selected=True, text="All", value="$__all"))
        return asked
    first = variable.values[0]
    choices = [model.VariableOption(selected=value == first, text=value, value=value) for value in variable.values]
    fixed = build.CustomVariable(variable.name).label(variable.label).values(",".join(variable.values))
    return fixed.options(choices).current(choices[0])


def _panel(panel: Panel) -> _Builder:
    builder: _Builder
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    colours = model.FieldColorModeId.THRESHOLDS
    if panel.kind == "timeseries":
        builder = _time_series(panel)
        colours = model.FieldColorModeId.PALETTE_CLASSIC
    elif panel.kind == "stat":
        builder = stat.Panel().reduce_options(last).color_mode(options.BigValueColorMode.VALUE)
        # It asks for an instant only: the last value of a range may be that of a store which died an hour ago.
        builder.graph_mode(options.BigValueGraphMode.NONE)
    elif panel.kind == "bargauge":
        builder = bargauge.Panel().reduce_options(last).orientation(options.VizOrientation.HORIZONTAL)
        builder.display_mode(options.BarGaugeDisplayMode.GRADIENT)
    else:
        builder = table.Panel()
    builder.title(panel.title).description(panel.description).datasource(_DATASOURCE)
    builder.unit(_UNITS.get(panel.unit, panel.unit)).min(0).no_value("–").thresholds(_thresholds(panel))
    builder.color_scheme(build.FieldColor().mode(colours))
    if panel.maximum is not None:
        builder.max(panel.maximum)
    if panel.link:
        builder.links([build.DashboardLink("Details").type(model.DashboardLinkType.LINK).url(f"/d/{panel.link}")])
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        builder.with_target(_target(panel, letter, query))
        if properties := _overridden(query):
            builder.override_by_query(letter, properties)
    return builder


def _time_series(panel: Panel) -> timeseries.Panel:
    builder = timeseries.Panel().line_width(1).fill_opacity(10).show_points(options.VisibilityMode.NEVER)
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.TABLE).calcs(["lastNotNull", "max"])
    builder.legend(legend.placement(options.LegendPlacement.BOTTOM).show_legend(True))
    tooltip = common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI)
    builder.tooltip(tooltip.sort(options.SortOrder.DESCENDING))
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if panel.warning is not None or panel.critical is not None:
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    return builder


def _overridden(query: Query) -> list[model.DynamicConfigValue]:
    """Return in what a query differs from its panel."""
    properties = []
    if query.colour:
        properties.append(model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": query.colour}))
    if query.unit:
        properties.append(model.DynamicConfigValue("unit", _UNITS.get(query.unit, query.unit)))
        properties.append(model.DynamicConfigValue("thresholds", _thresholds(query).build()))
    return properties


def _thresholds(shown: Thresholds) -> build.ThresholdsConfig:
    limits = [limit for limit in ((shown.warning, WARNING), (shown.critical, CRITICAL)) if limit[0] is not None]
    values, colours = [value for value, _ in limits], [GOOD, *(colour for _, colour in limits)]
    if shown.falling:
        # Each colour holds from its value upwards: below the critical one it is red.
        values, colours = values[::-1], colours[::-1]
    steps = [model.Threshold(value=value, color=colour) for value, colour in zip([None, *values], colours, strict=True)]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _target(panel: Panel, letter: str, query: Query) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter)
    target.datasource(_DATASOURCE)
    if panel.kind == "timeseries":
        return target.range()
    return target.instant().format(PromQueryFormat.TABLE) if panel.kind == "table" else target.instant()
