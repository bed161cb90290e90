"use strict";
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function ticks(low, high, about) {
  const raw = (high - low) / about, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * size).find(each => each >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) found.push(i * step);
  return found;
}

// From zero, or, where all values lie far above it, from a round value a little below the lowest.
function range(values, axis) {
  const high = axis.high ?? (Math.max(...values) * 1.06 || 1);
  const lowest = Math.min(...values);
  if (axis.low !== undefined || lowest < 0.45 * high) return [axis.low ?? 0, high];
  const span = high - lowest, step = 10 ** Math.floor(Math.log10(span || high));
  return [Math.max(0, Math.floor((lowest - span * 0.15) / step) * step), high];
}

// `series`: [{name, colour, points: [{x, y, tip, low, high}]}]; `low` and `high` are whiskers. `goal`: a level.
function chart(holder, series, x, y, options = {}) {
  const W = 620, H = 330, left = 64, right = 16, top = 14, bottom = 46;
  const points = series.flatMap(each => each.points);
  if (!points.length) {
    const none = document.createElement("p");
    none.className = "quiet";
    none.textContent = options.none || "Nothing was measured.";
    holder.replaceChildren(none);
    return;
  }
  const [x0, x1] = range(points.map(each => each.x), x), [y0, y1] = range(points.map(each => each.y), y);
  const px = value => left + (value - x0) / (x1 - x0) * (W - left - right);
  const py = value => H - bottom - (value - y0) / (y1 - y0) * (H - top - bottom);
  const root = svg("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": options.title || ""});
  for (const value of ticks(y0, y1, 5)) {
    root.append(svg("line", {class: "gridline", x1: left, x2: W - right, y1: py(value), y2: py(value)}));
    root.append(svg("text", {class: "tick", x: left - 8, y: py(value) + 4, "text-anchor": "end"}, y.say(value)));
  }
  for (const value of ticks(x0, x1, 6))
    root.append(svg("text", {class: "tick", x: px(value), y: H - bottom + 18, "text-anchor": "middle"}, x.say(value)));
  root.append(svg("line", {class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom}));
  root.append(svg("text", {class: "name", x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle"}, x.label));
  root.append(svg("text", {class: "name", transform: `translate(13 ${(H - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle"}, y.label));
  if (options.goal !== undefined)
    root.append(svg("line", {class: "goal", x1: left, x2: W - right, y1: py(options.goal), y2: py(options.goal)}));
  if (options.front)
    root.append(svg("path", {class: "front", d: "M" + options.front.map(each => `${px(each.x)} ${py(each.y)}`).join("L")}));
  series.forEach((each, number) => {
    if (options.joined !== false && each.points.length > 1)
      root.append(svg("path", {d: "M" + each.points.map(p => `${px(p.x)} ${py(p.y)}`).join("L"), fill: "none", stroke: each.colour, "stroke-width": 1.8}));
    for (const p of each.points) {
      if (p.low !== undefined && p.high > p.low)
        root.append(svg("line", {x1: px(p.x), x2: px(p.x), y1: py(p.low), y2: py(p.high), stroke: each.colour, "stroke-width": 1.2}));
      const mark = svg("path", {d: marker(number, px(p.x), py(p.y), 4.6), fill: each.colour, stroke: "var(--card)", "stroke-width": 1.2});
      tipOn(mark, () => p.tip);
      root.append(mark);
    }
  });
  holder.replaceChildren(root);
}

// A shape of its own for every series, so that colours are not needed.
function marker(number, x, y, r) {
  const shapes = [
    `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`,
    `M${x} ${y - r * 1.2}L${x + r * 1.15} ${y + r}H${x - r * 1.15}Z`,
    `M${x} ${y - r * 1.35}L${x + r * 1.35} ${y}L${x} ${y + r * 1.35}L${x - r * 1.35} ${y}Z`,
    `M${x} ${y + r * 1.2}L${x + r * 1.15} ${y - r}H${x - r * 1.15}Z`,
  ];
  return shapes[number % shapes.length];
}

// The outline of a request's cell: full squares are met; what was missed has a shape of its own.
function cell(kind, x, y, s) {
  const m = s / 2;
  switch (kind) {
    case "met": return `M${x} ${y}h${s}v${s}h${-s}Z`;
    case "ttft": return `M${x + m} ${y}L${x + s} ${y + s}H${x}Z`;
    case "itl": return `M${x} ${y + s * 0.08}h${s}v${s * 0.3}h${-s}ZM${x} ${y + s * 0.62}h${s}v${s * 0.3}h${-s}Z`;
    case "both": return `M${x + m} ${y}L${x + s} ${y + m}L${x + m} ${y + s}L${x} ${y + m}Z`;
    default: {
      const a = s * 0.22;
      return `M${x} ${y + a}L${x + a} ${y}L${x + m} ${y + m - a}L${x + s - a} ${y}L${x + s} ${y + a}L${x + m + a} ${y + m}` +
        `L${x + s} ${y + s - a}L${x + s - a} ${y + s}L${x + m} ${y + m + a}L${x + a} ${y + s}L${x} ${y + s - a}L${x + m - a} ${y + m}Z`;
    }
  }
}

function cells(kinds, width, tip) {
  const size = kinds.length > 1500 ? 6 : kinds.length > 400 ? 9 : 13, step = size + (size > 8 ? 3 : 2);
  const across = Math.max(10, Math.floor(width / step)), down = Math.ceil(kinds.length / across);
  const root = svg("svg", {class: "cells", viewBox: `0 0 ${across * step} ${down * step}`, width: across * step, style: `max-width:${across * step}px`});
  const paths = Object.fromEntries(KINDS.map(kind => [kind, []]));
  kinds.forEach((kind, i) => paths[kind].push(cell(kind, (i % across) * step + 1, Math.floor(i / across) * step + 1, size)));
  for (const kind of KINDS)
    if (paths[kind].length) root.append(svg("path", {class: `k-${kind}`, d: paths[kind].join("")}));
  root.append(svg("rect", {x: 0, y: 0, width: across * step, height: down * step, fill: "none", "pointer-events": "all"}));
  tipOn(root, event => {
    const box = root.getBoundingClientRect(), scale = across * step / box.width;
    const column = Math.floor((event.clientX - box.left) * scale / step), row = Math.floor((event.clientY - box.top) * scale / step);
    const index = row * across + column;
    return column < across && index >= 0 && index < kinds.length ? tip(index) : "";
  });
  return root;
}

function tipOn(node, text) {
  const tip = document.getElementById("tip");
  node.addEventListener("mousemove", event => {
    const words = text(event);
    tip.hidden = !words;
    tip.textContent = words;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  node.addEventListener("mouseleave", () => { tip.hidden = true; });
}
