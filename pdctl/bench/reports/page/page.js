"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = 8;
const $ = id => document.getElementById(id);
const unique = values => [...new Set(values)];
const colour = deployment => `var(--s${DATA.deployments.indexOf(deployment) % COLOURS})`;

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function digits(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  return size >= 99.95 ? value.toFixed(0) : String(Number(size < 9.995 ? value.toFixed(2) : value.toFixed(1)));
}
const seconds = value => value === null ? "-" : value < 0.9995 ? `${digits(value * 1e3)} ms` : `${digits(value)} s`;
const percent = value => value > 0.99 && value < 1 ? `${Math.min(99.9, value * 100).toFixed(1)} %` : `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
function amount(value) {
  if (value === null) return "-";
  for (const [size, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (Math.abs(value) >= size * 0.9995) return digits(value / size) + prefix;
  return digits(value);
}

const state = {scenario: DATA.scenarios[0], load: null, latency: "e2el_median"};
const slo = () => ({
  ttft: DATA.steps.ttft[$("ttft").value],
  itl: DATA.steps.itl[$("itl").value],
  share: Number($("share").value) / 100,
  criterion: document.querySelector("input[name=criterion]:checked").value,
});

// The seeds of every load of one deployment in the chosen scenario, from light to heavy.
function groups(deployment) {
  const mine = DATA.points.filter(each => each.scenario === state.scenario && each.deployment === deployment);
  return unique(mine.map(each => each.load)).map(load => mine.filter(each => each.load === load));
}
const mean = values => values.some(each => each === null) || !values.length ? null : values.reduce((sum, each) => sum + each, 0) / values.length;
const figure = (group, name) => mean(group.map(point => point.figures[name]));

function loadAxis() {
  const points = DATA.points.filter(each => each.scenario === state.scenario);
  const some = name => points.some(each => each[name] !== null);
  if (some("concurrency")) return {of: point => point.concurrency, axis: {label: "concurrency", say: amount}, unit: "concurrent"};
  if (some("rate")) return {of: point => point.rate, axis: {label: "requests offered per second", say: amount}, unit: "req/s"};
  return {of: point => point.times ?? 1, axis: {label: "times the trace's own rate", say: amount}, unit: "x the trace"};
}

function showCards(limits) {
  const {of, unit} = loadAxis();
  const found = DATA.deployments.map(name => {
    const all = groups(name), group = best(all, limits);
    return {name, value: group ? of(group[0]) : null, more: group !== null && group === all.at(-1)};
  });
  const base = found[0].value;
  $("cards").replaceChildren(...found.filter(each => groups(each.name).length).map(each => {
    const gain = base && each.value && each.name !== found[0].name ? ` · ${(each.value / base).toFixed(2)}x` : "";
    const card = make("div", "card", make("span", "quiet small", each.name),
      make("b", "", each.value === null ? "none " : `${each.more ? "≥ " : ""}${amount(each.value)} `, make("small", "", `${unit}${gain}`)),
      make("span", "quiet small", `heaviest load with at least ${percent(limits.share)} met`));
    card.style.setProperty("--mark", colour(each.name));
    return card;
  }));
}

function showStrips(limits) {
  const holder = $("strips"), width = holder.clientWidth || 1100;
  holder.replaceChildren(...DATA.deployments.flatMap(name => groups(name).filter(group => group[0].load === state.load).flatMap(group => group.map(point => {
    const kinds = verdicts(point, limits), told = counts(kinds);
    const title = make("h3", "", swatch(name), point.deployment + (group.length > 1 ? `, seed ${point.seed}` : ""));
    const words = make("div", "told", title, make("b", "", `${told.met} of ${kinds.length} met`));
    for (const kind of KINDS.slice(1)) if (told[kind]) words.append(make("span", "quiet", `${told[kind]} ${KIND_WORDS[kind]}`));
    const strip = make("div", "strip", words, cells(kinds, width, i => requestTip(point, kinds[i], i)));
    strip.dataset.point = point.id;
    strip.dataset.met = told.met;
    strip.dataset.offered = kinds.length;
    return strip;
  }))));
}

function requestTip(point, kind, i) {
  const lines = [`request ${point.index[i]}: ${KIND_WORDS[kind]}`, `TTFT ${seconds(point.ttft[i])}, own P99 ITL ${seconds(point.itl[i])}, mean TPOT ${seconds(point.tpot[i])}`];
  if (point.errors[i]) lines.push(point.errors[i]);
  return [...lines, `line ${point.line[i]} of ${point.rows}`].join("\n");
}

function swatch(name) {
  const node = make("span", "swatch");
  node.style.setProperty("--mark", colour(name));
  return node;
}

function seriesOf(x, y, tip, ends) {
  return DATA.deployments.map(name => ({name, colour: colour(name), points: groups(name).map(group => ({
    x: x(group), y: y(group), tip: `${name}, ${group[0].load}\n${tip(group)}`, ...(ends && group.length > 1 ? ends(group) : {}),
  })).filter(point => point.x !== null && point.y !== null)}));
}

function showJudged(limits) {
  const {of, axis} = loadAxis(), at = group => of(group[0]);
  const shares = group => group.map(point => judge([point], limits).attainment);
  chart($("attainment"), seriesOf(at, group => judge(group, limits).attainment, group => {
    const {met, offered, attainment} = judge(group, limits);
    return `${met} of ${offered} met: ${percent(attainment)}`;
  }, group => ({low: Math.min(...shares(group)), high: Math.max(...shares(group))})),
  {...axis, low: 0}, {label: "requests that met the SLO", say: percent, low: 0, high: 1}, {goal: limits.share, title: "SLO attainment over load"});
  chart($("goodput"), seriesOf(at, group => judge(group, limits).goodput, group => `${digits(judge(group, limits).goodput)} good requests a second`),
    {...axis, low: 0}, {label: "good requests per second", say: amount, low: 0}, {title: "Goodput over load"});
  for (const node of document.querySelectorAll("[data-attainment-of]")) {
    const group = DATA.points.filter(each => each.place === Number(node.dataset.attainmentOf));
    const {met, offered, attainment} = judge(group, limits);
    node.textContent = percent(attainment);
    node.dataset.attainment = attainment;
    node.title = `${met} of ${offered}`;
  }
}

function front(points) {
  const ordered = [...points].sort((a, b) => b.x - a.x || b.y - a.y), found = [];
  for (const point of ordered) if (!found.length || point.y > found[found.length - 1].y) found.push(point);
  return found;
}

function showMeasured() {
  const words = {e2el_median: "median E2EL", ttft_median: "median TTFT", ttft_p99: "P99 TTFT", tpot_median: "median TPOT", itl_p99: "P99 ITL"};
  chart($("latency"), seriesOf(group => figure(group, state.latency), group => figure(group, "tps_total"),
    group => `${words[state.latency]} ${seconds(figure(group, state.latency))}, ${amount(figure(group, "tps_total"))} tokens/s`),
  {label: words[state.latency], say: seconds}, {label: "tokens/s (in and out)", say: amount, low: 0}, {title: "Latency and throughput"});
  const series = seriesOf(group => figure(group, "tpsu"), group => figure(group, "tpsg"),
    group => `${digits(figure(group, "tpsu"))} tokens/s a user, ${digits(figure(group, "tpsg"))} tokens/s a GPU`);
  chart($("pareto"), series, {label: "output tokens/s of a user (TPSU)", say: amount}, {label: "output tokens/s of a GPU (TPSG)", say: amount, low: 0},
    {front: front(series.flatMap(each => each.points)), joined: false, title: "Pareto front", none: "The number of GPUs is not known, so there are no rates per GPU."});
}

function chooseLoads() {
  const points = DATA.points.filter(each => each.scenario === state.scenario);
  const loads = unique(points.map(each => each.load)), names = unique(points.map(each => each.deployment));
  const everywhere = loads.filter(load => names.every(name => points.some(each => each.load === load && each.deployment === name)));
  $("load").replaceChildren(...loads.map(load => make("option", "", load)));
  state.load = (everywhere.length ? everywhere : loads).at(-1);
  $("load").value = state.load;
}

function showAll() {
  const limits = slo();
  $("ttft-now").textContent = seconds(limits.ttft);
  $("ttft-now").dataset.seconds = limits.ttft;
  $("itl-now").textContent = seconds(limits.itl);
  $("itl-now").dataset.seconds = limits.itl;
  $("share-now").textContent = percent(limits.share);
  showCards(limits);
  showStrips(limits);
  showJudged(limits);
}

function showScenario() {
  for (const node of document.querySelectorAll("[data-scenario]")) node.hidden = node.dataset.scenario !== state.scenario;
  chooseLoads();
  showMeasured();
  showAll();
}

function legends() {
  for (const holder of document.querySelectorAll(".of-series"))
    holder.replaceChildren(...DATA.deployments.map((name, number) => make("span", "",
      svg("svg", {viewBox: "0 0 12 12"}, svg("path", {d: marker(number, 6, 6, 4.4), fill: colour(name)})), name)));
  $("kinds").replaceChildren(...KINDS.map(kind => make("span", "",
    svg("svg", {viewBox: "0 0 12 12"}, svg("path", {d: cell(kind, 0.5, 0.5, 11), class: `k-${kind}`})), KIND_WORDS[kind])));
}

for (const id of ["ttft", "itl", "share"]) $(id).addEventListener("input", showAll);
for (const node of document.querySelectorAll("input[name=criterion]")) node.addEventListener("change", showAll);
$("load").addEventListener("change", event => { state.load = event.target.value; showStrips(slo()); });
$("latency-of").addEventListener("change", event => { state.latency = event.target.value; showMeasured(); });
$("scenario").addEventListener("change", event => { state.scenario = event.target.value; showScenario(); });
document.querySelector(".controls form").addEventListener("submit", event => event.preventDefault());
addEventListener("resize", () => showStrips(slo()));
legends();
showScenario();
