/* What pages do beyond links and forms: copy a snippet, fit the report, draw the charts. Everything works without it but
   the charts, whose figures stand in a table beside them. */
(() => {
  "use strict";

  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.closest(".copy-row").querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  /* The report is as tall as what it says, so that the page has one scroll bar. It runs no scripts, so it may be of
     this origin, and be measured. */
  for (const frame of document.querySelectorAll("[data-fit]")) {
    const watch = () => {
      const content = frame.contentDocument && frame.contentDocument.body;
      if (!content) return;
      const fit = () => { frame.style.height = `${Math.ceil(content.getBoundingClientRect().height) + 2}px`; };
      new ResizeObserver(fit).observe(content);
    };
    frame.addEventListener("load", watch);
    watch();
  }

  const places = [...document.querySelectorAll("[data-chart]")];
  if (!places.length || !window.echarts) return;

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const series = (item) => ({
    name: item.name,
    type: item.kind || "line",
    stack: item.stack,
    data: item.values,
    symbolSize: 6,
    showSymbol: item.values.length < 40,
    connectNulls: false,
    itemStyle: { color: color(item.color) },
    lineStyle: { color: color(item.color), width: 2, type: item.dashed ? "dashed" : "solid" },
  });

  const options = (chart) => ({
    animation: !still.matches,
    aria: { enabled: true },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: color("ink-soft") },
    grid: { left: 8, right: 12, top: chart.series.length > 1 ? 34 : 14, bottom: 4, containLabel: true },
    legend: chart.series.length > 1 ? { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 12, itemHeight: 8, textStyle: { color: color("ink-soft") } } : undefined,
    /* Drawn on the canvas: a tooltip in HTML would need inline styles, which the content policy forbids. */
    tooltip: { trigger: "axis", renderMode: "richText", backgroundColor: color("surface"), borderColor: color("edge"), textStyle: { color: color("ink") } },
    xAxis: { type: "category", data: chart.labels, axisLine: { lineStyle: { color: color("edge") } }, axisTick: { show: false }, axisLabel: { color: color("ink-soft"), hideOverlap: true } },
    yAxis: { type: "value", scale: chart.scale === true, axisLabel: { color: color("ink-soft") }, splitLine: { lineStyle: { color: color("line") } } },
    series: chart.series.map(series),
  });

  const drawn = places.map((place) => {
    const chart = JSON.parse(place.dataset.chart);
    const canvas = window.echarts.init(place, null, { renderer: "canvas" });
    canvas.setOption(options(chart));
    return { canvas, chart };
  });

  window.addEventListener("resize", () => drawn.forEach(({ canvas }) => canvas.resize()));
  dark.addEventListener("change", () => drawn.forEach(({ canvas, chart }) => canvas.setOption(options(chart), true)));
})();
