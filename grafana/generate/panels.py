"""The house style: how each kind of panel looks, whatever it shows.

Every panel has a unit, says in words what an empty one means, and takes its
data source and host from the dashboard's variables. `HOST` stands in queries for
the host's matcher.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import common as cm
from grafana_foundation_sdk.models import dashboard as dm
from grafana_foundation_sdk.models import prometheus as pm
from grafana_foundation_sdk.models.text import TextMode

DATA_SOURCE = dm.DataSourceRef(type_val="prometheus", uid="$datasource")
HOST = 'host=~"$host"'

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"


def query(expr: str, legend: str = "__auto", ref: str = "A") -> prometheus.Dataquery:
    """A query over time; `legend` is a Grafana legend format."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(DATA_SOURCE).range()


def now(expr: str, legend: str = "__auto", ref: str = "A") -> prometheus.Dataquery:
    """A query of this moment."""
    return (
        prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(DATA_SOURCE).instant()
    )


def steps(first: str, *bounds: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Colours by value: `first` below all bounds, then each from its bound on."""
    thresholds = [dm.Threshold(value=None, color=first)]
    thresholds += [dm.Threshold(value=value, color=colour) for value, colour in bounds]
    return dashboard.ThresholdsConfig().mode(dm.ThresholdsMode.ABSOLUTE).steps(thresholds)


def words(**by_value: tuple[str, str]) -> list[dm.ValueMapping]:
    """Shows words for numbers: `words(_0=("DOWN", RED), _1=("UP", GREEN))`."""
    options = {
        name.removeprefix("_"): dm.ValueMappingResult(text=word, color=colour, index=index)
        for index, (name, (word, colour)) in enumerate(by_value.items())
    }
    return [dm.ValueMap(options=options)]


def word_from(least: float, word: str, colour: str) -> list[dm.ValueMapping]:
    """Shows a word for every number from `least` on."""
    result = dm.ValueMappingResult(text=word, color=colour)
    return [dm.RangeMap(options=dm.DashboardRangeMapOptions(from_val=least, result=result))]


def jump(title: str, url: str) -> dashboard.DashboardLink:
    """A link from a panel or a value; keeps nothing but what the address names."""
    return dashboard.DashboardLink(title).type(dm.DashboardLinkType.LINK).url(url)


def property_of(name: str, value: object) -> dm.DynamicConfigValue:
    return dm.DynamicConfigValue(id_val=name, value=value)


def fixed(colour: str) -> dm.DynamicConfigValue:
    """One colour whatever the value, for an override."""
    return property_of("color", {"mode": "fixed", "fixedColor": colour})


def figure(
    title: str, expr: str, unit: str, thresholds: dashboard.ThresholdsConfig, empty: str, span: int = 4
) -> stat.Panel:
    """One number of this moment, coloured by what it means."""
    return (
        stat.Panel()
        .title(title)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .thresholds(thresholds)
        .color_mode(cm.BigValueColorMode.BACKGROUND)
        .graph_mode(cm.BigValueGraphMode.NONE)
        .text_mode(cm.BigValueTextMode.VALUE)
        .no_value(empty)
        .span(span)
        .height(4)
        .with_target(now(expr))
    )


def graph(
    title: str, unit: str, empty: str, *queries: prometheus.Dataquery, span: int = 12
) -> timeseries.Panel:
    """Lines over time, with the latest and the largest value of each."""
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .no_value(empty)
        .span(span)
        .height(8)
        .line_width(1)
        .fill_opacity(8)
        .show_points(cm.VisibilityMode.NEVER)
        .axis_soft_min(0)
        .tooltip(common.VizTooltipOptions().mode(cm.TooltipDisplayMode.MULTI).sort(cm.SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(cm.LegendDisplayMode.TABLE)
            .placement(cm.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["max", "lastNotNull"])
        )
    )
    for one in queries:
        panel.with_target(one)
    return panel


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Areas that add up to a whole."""
    return panel.stacking(common.StackingConfig().mode(cm.StackingMode.NORMAL).group("A")).fill_opacity(35)


def counted(panel: timeseries.Panel) -> timeseries.Panel:
    """Bars for things that happen now and then."""
    return stacked(panel).draw_style(cm.GraphDrawStyle.BARS).fill_opacity(70).decimals(0)


def bounded(panel: timeseries.Panel, *bounds: tuple[float, str]) -> timeseries.Panel:
    """Draws each bound as a dashed line."""
    style = common.GraphThresholdsStyleConfig().mode(cm.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(steps("transparent", *bounds)).thresholds_style(style)


def ranking(title: str, unit: str, expr: str, legend: str, empty: str, span: int = 8) -> bargauge.Panel:
    """The largest few, one bar each."""
    return (
        bargauge.Panel()
        .title(title)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .no_value(empty)
        .span(span)
        .height(8)
        .min(0)
        .thresholds(steps(BLUE))
        .orientation(cm.VizOrientation.HORIZONTAL)
        .display_mode(cm.BarGaugeDisplayMode.BASIC)
        .sizing(cm.BarGaugeSizing.MANUAL)
        .max_viz_height(24)
        .name_placement(cm.BarGaugeNamePlacement.LEFT)
        .with_target(now(expr, legend))
    )


def timeline(
    title: str, empty: str, target: prometheus.Dataquery, mappings: list[dm.ValueMapping], span: int = 24
) -> statetimeline.Panel:
    """When each thing was in which state."""
    return (
        statetimeline.Panel()
        .title(title)
        .datasource(DATA_SOURCE)
        .no_value(empty)
        .span(span)
        .height(8)
        .mappings(mappings)
        .color_scheme(dashboard.FieldColor().mode(dm.FieldColorModeId.THRESHOLDS))
        .thresholds(steps(GREY))
        .show_value(cm.VisibilityMode.NEVER)
        .merge_values(True)
        .row_height(0.8)
        .legend(
            common.VizLegendOptions()
            .show_legend(False)
            .display_mode(cm.LegendDisplayMode.LIST)
            .placement(cm.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .with_target(target)
    )


def listing(
    title: str,
    empty: str,
    targets: list[prometheus.Dataquery],
    columns: dict[str, str],
    span: int = 24,
    height: int = 7,
) -> table.Panel:
    """A table of labels and values: `columns` names those shown, in order, by their headings."""
    panel = table.Panel().title(title).datasource(DATA_SOURCE).no_value(empty).span(span).height(height)
    for target in targets:
        panel.with_target(target.format(pm.PromQueryFormat.TABLE))
    if len(targets) > 1:
        panel.with_transformation(dm.DataTransformerConfig(id_val="merge", options={}))
    names = list(columns)
    panel.with_transformation(
        dm.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": names}})
    )
    order = {name: index for index, name in enumerate(names)}
    return panel.with_transformation(
        dm.DataTransformerConfig(
            id_val="organize", options={"indexByName": order, "renameByName": columns, "excludeByName": {}}
        )
    )


def column(panel: table.Panel, heading: str, **properties: object) -> table.Panel:
    """Sets a column's properties, each named as Grafana does with `_` for `.`."""
    return panel.override_by_name(
        heading, [property_of(name.replace("_", "."), value) for name, value in properties.items()]
    )


def prose(title: str, markdown: str, span: int = 8, height: int = 8) -> text.Panel:
    """Words beside the graphs."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).span(span).height(height)
