// F1 along the ratios: one line for each concern, the mean above them, the base as a level.

const INKS = ["#2f4fe0", "#b5420e", "#0f766e", "#7c3aed", "#a16207", "#be185d", "#475569", "#15803d"];
const DARK = ["#8ea4ff", "#ff9563", "#5eead4", "#c4b5fd", "#fcd34d", "#f9a8d4", "#cbd5e1", "#86efac"];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3]];

function inks() {
  const style = getComputedStyle(document.documentElement);
  const dark = style.colorScheme === "dark";
  const read = (name) => style.getPropertyValue(name).trim();
  return { lines: dark ? DARK : INKS, ink: read("--ink"), soft: read("--soft"), line: read("--line"), base: read("--base") };
}

function draw(place) {
  const { ratios, curves, base } = JSON.parse(place.dataset.curves);
  const colours = inks();
  const axis = { stroke: colours.soft, font: "12px Instrument Sans", grid: { stroke: colours.line, width: 1 }, ticks: { show: false } };
  const drawn = curves.map(({ name, mean }, at) => ({
    label: name,
    stroke: mean ? colours.ink : colours.lines[at % colours.lines.length],
    width: mean ? 3 : 1.5,
    dash: mean ? [] : DASHES[Math.floor(at / colours.lines.length) % DASHES.length],
    spanGaps: true,
    points: { show: true, size: mean ? 7 : 5 },
    value: (_, value) => value?.toFixed(3) ?? "",
  }));
  const level = { label: "base, mean", stroke: colours.base, dash: [3, 4], width: 1.5, points: { show: false }, value: (_, value) => value?.toFixed(3) ?? "" };
  const values = curves.flatMap(({ values }) => values.filter((value) => value != null)).concat(base);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.01, (high - low) * 0.08);
  place.replaceChildren();
  return new uPlot(
    {
      width: place.clientWidth,
      height: 360,
      scales: { x: { time: false }, y: { range: [low - margin, Math.min(1, high + margin)] } },
      series: [{ label: "ratio", value: (_, value) => value ?? "" }, ...drawn, level],
      axes: [{ ...axis, label: "ratio removed", labelFont: "12px Instrument Sans", splits: () => ratios, values: (_, marks) => marks.map(String) }, { ...axis, values: (_, marks) => marks.map((mark) => mark.toFixed(2)), size: 48 }],
      legend: { live: true },
    },
    [ratios, ...curves.map(({ values }) => values), ratios.map(() => base)],
    place,
  );
}

const plots = new Map();

function drawAll() {
  plots.clear();
  document.querySelectorAll("[data-curves]").forEach((place) => plots.set(place, draw(place)));
}

function drawNew() {
  document.querySelectorAll("[data-curves]:empty").forEach((place) => plots.set(place, draw(place)));
}

addEventListener("resize", () => plots.forEach((plot, place) => plot.setSize({ width: place.clientWidth, height: 360 })));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("theme", drawAll);
document.addEventListener("htmx:afterSettle", drawNew);
document.fonts.ready.then(drawAll);
