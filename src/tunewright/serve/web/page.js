"use strict";
// The status page. What the server says is only ever set as text, never as HTML. A key is kept in a variable alone.
const EVERY = 2000, KEPT = 90; // milliseconds between two looks; looks that the live charts show
const SVG = "http://www.w3.org/2000/svg", WIDE = 460, HIGH = 170, LEFT = 38, LOW = 148, TOP = 8;
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((node) => [node.id, node]));
let language = (navigator.language || "").startsWith("zh") ? "zh" : "en";
let key = "", chosen = null, status = null, problem = "", inputs = "";
const past = new Map(); // model and version → what was counted at each look

const say = (name, values = {}) => TEXTS[language][name].replace(/\{(\w+)\}/g, (all, word) => values[word] ?? all);
const named = (signal) => TEXTS[language].names[signal] ?? signal;
const number = (value, digits = 0) => value.toLocaleString(language, {maximumFractionDigits: digits});
const percent = (value) => value.toLocaleString(language, {style: "percent", maximumFractionDigits: 1});

function make(name, about = {}, ...inside) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(about)) node[key] = value;
  node.append(...inside);
  return node;
}

function draw(name, about) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(about)) if (key !== "text") node.setAttribute(key, value);
  if (about.text !== undefined) node.textContent = about.text;
  return node;
}

async function ask(path, body) {
  const headers = {...(key && {Authorization: `Bearer ${key}`}), ...(body && {"Content-Type": "application/json"})};
  const answer = await fetch(path, {headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body), cache: "no-store", credentials: "omit"});
  if (answer.status === 401) {
    page.access.hidden = false;
    throw new Error(say("needKey"));
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error?.message ?? String(answer.status));
  return said;
}

async function look() {
  try {
    status = await ask("/v1/status");
    problem = "";
    for (const model of status.models) remember(model);
  } catch (error) {
    problem = error instanceof TypeError ? say("away") : error.message;
  }
  show();
  setTimeout(look, EVERY);
}

const identity = (model) => JSON.stringify([model.name, model.version]);
const total = (counts) => Object.values(counts).reduce((sum, one) => sum + one, 0);

function remember(model) {
  const looks = past.get(identity(model)) ?? [];
  looks.push({at: performance.now(), answers: total(model.decisions), seconds: model.seconds});
  past.set(identity(model), looks.slice(-KEPT));
}

function show() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  page.language.textContent = say("other");
  page.problem.textContent = problem;
  page.problem.hidden = !problem;
  page.state.className = `pill ${problem || !status?.ready ? "bad" : "good"}`;
  page.state.textContent = status && !problem ? say(status.ready ? "ready" : "notReady") : "…";
  if (!status?.models.length) return;
  const model = status.models.find((one) => identity(one) === chosen) ?? status.models[0];
  chosen = identity(model);
  page.models.hidden = status.models.length < 2;
  page.models.replaceChildren(...status.models.map(tab));
  page.model.hidden = false;
  facts(model);
  numbers(model);
  live(model);
  watched(model);
  prepare(model);
}

function tab(model) {
  const text = model.answers_now ? model.name : `${model.name} (${say("previous")})`;
  const node = make("button", {type: "button", textContent: text, onclick: () => { chosen = identity(model); show(); }});
  node.setAttribute("aria-pressed", identity(model) === chosen);
  return node;
}

function facts(model) {
  const shown = {version: model.version, task: model.task.replaceAll("_", " "), runtime: model.runtime.name, created: model.created.slice(0, 16).replace("T", " ")};
  page.facts.replaceChildren(...Object.entries(shown).map(([name, value]) =>
    make("div", {}, make("dt", {textContent: say(name)}), make("dd", {textContent: value}))));
}

function numbers(model) {
  const half = quantile(model.seconds, 0.5);
  const alarms = model.watched?.looks.filter((one) => one.alarms.length).length;
  const shown = [
    [number(total(model.decisions)), "answered"], [number(model.decisions.abstain ?? 0), "abstained"], [number(model.decisions.error ?? 0), "failed"],
    [number(model.waiting), "waiting"], [half === null ? "–" : `${number(1000 * half, 1)} ms`, "within"], [alarms === undefined ? "–" : number(alarms), "alarms"],
  ];
  page.numbers.replaceChildren(...shown.map(([value, name]) => make("div", {}, make("b", {textContent: value}), make("span", {textContent: say(name)}))));
}

// The seconds within which a share of the requests was answered, by a histogram's counts; null where there were none.
function quantile(counts, share, before = {}) {
  const bounds = Object.keys(counts).sort((one, two) => parse(one) - parse(two));
  const held = bounds.map((bound) => counts[bound] - (before[bound] ?? 0));
  const wanted = share * held.at(-1);
  if (!(held.at(-1) > 0)) return null;
  const place = held.findIndex((one) => one >= wanted);
  const low = place ? parse(bounds[place - 1]) : 0, under = place ? held[place - 1] : 0;
  const high = Number.isFinite(parse(bounds[place])) ? parse(bounds[place]) : low;
  return low + (high - low) * (wanted - under) / Math.max(1, held[place] - under);
}
const parse = (bound) => (bound === "+Inf" ? Infinity : Number(bound));

function live(model) {
  const looks = past.get(identity(model)) ?? [];
  const rate = [], half = [], most = [];
  for (let place = 1; place < looks.length; place++) {
    const [before, now] = [looks[place - 1], looks[place]];
    rate.push(1000 * Math.max(0, now.answers - before.answers) / (now.at - before.at));
    const since = looks[Math.max(0, place - 5)].seconds;
    half.push(quantile(now.seconds, 0.5, since));
    most.push(quantile(now.seconds, 0.95, since));
  }
  const ms = (values) => values.map((value) => (value === null ? null : 1000 * value));
  lines(page.rate, [{values: rate, kind: "line"}]);
  lines(page.latency, [{values: ms(most), kind: "line second"}, {values: ms(half), kind: "line"}]);
  bars(model);
  histogram(model);
}

function chart(node, most, least = 0) {
  const svg = draw("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img"});
  const y = (value) => LOW - (LOW - TOP) * (value - least) / (most - least || 1);
  for (const share of [0, 0.5, 1]) {
    const value = least + share * (most - least);
    svg.append(draw("line", {class: "grid", x1: LEFT, x2: WIDE, y1: y(value), y2: y(value)}));
    svg.append(draw("text", {x: LEFT - 5, y: y(value) + 4, "text-anchor": "end", text: node === page.accuracy ? percent(value) : number(value, most < 10 ? 1 : 0)}));
  }
  node.replaceChildren(svg);
  return [svg, y];
}

function lines(node, all) {
  const found = all.flatMap((one) => one.values).filter((value) => value !== null);
  if (!found.length) return empty(node);
  const [svg, y] = chart(node, Math.max(1, ...found) * 1.05);
  const count = Math.max(2, ...all.map((one) => one.values.length));
  const x = (place) => LEFT + (WIDE - LEFT) * place / (count - 1);
  for (const {values, kind} of all) {
    let path = "", pen = false;
    values.forEach((value, place) => {
      if (value !== null) path += `${pen ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = value !== null;
    });
    svg.append(draw("path", {class: kind, d: path}));
  }
}

function empty(node) {
  node.replaceChildren(make("p", {className: "note", textContent: say("none")}));
}

function bars(model) {
  const given = Object.entries(model.given).sort((one, two) => two[1] - one[1]).slice(0, 30);
  if (!given.length) return empty(page.labels);
  page.labels.replaceChildren(...given.flatMap(([label, count]) => [
    make("span", {className: "name", textContent: label, title: label}),
    make("progress", {max: given[0][1], value: count}), make("span", {textContent: number(count)})]));
}

function histogram(model) {
  const bounds = Object.keys(model.confidence).sort((one, two) => parse(one) - parse(two)).filter((bound) => bound !== "+Inf");
  if (!bounds.length) return empty(page.confidence);
  const counts = bounds.map((bound, place) => model.confidence[bound] - (place ? model.confidence[bounds[place - 1]] : 0));
  const [svg, y] = chart(page.confidence, Math.max(1, ...counts));
  const width = (WIDE - LEFT) / counts.length;
  counts.forEach((count, place) => svg.append(draw("rect", {class: "bar", x: LEFT + place * width + 1, width: width - 2, y: y(count), height: Math.max(0, LOW - y(count))})));
  for (const share of [0, 0.5, 1]) svg.append(draw("text", {x: LEFT + share * (WIDE - LEFT), y: HIGH - 6, "text-anchor": share === 1 ? "end" : share ? "middle" : "start", text: number(share, 1)}));
}

function watched(model) {
  const seen = model.watched;
  page.drift.hidden = !seen?.looks.length;
  page.watched.className = "note";
  if (!seen) { page.watched.textContent = say("unwatched"); return; }
  const newest = seen.looks.at(-1);
  if (!newest) { page.watched.textContent = say("early", {rows: number(seen.rows), first: number(seen.first_look)}); return; }
  const comma = language === "zh" ? "、" : ", ";
  const names = newest.alarms.map(named).join(comma);
  const values = {count: number(newest.rows), rows: number(seen.rows), usual: number(seen.usual_rows), names};
  page.watched.textContent = say(names ? "alarm" : "asUsual", values) + (newest.estimated_accuracy?.holds === false ? ` ${say("doubt", {names: newest.estimated_accuracy.doubts.map(named).join(comma)})}` : "");
  page.watched.classList.toggle("bad", Boolean(names));
  const head = make("tr", {}, ...["signal", "p", "distance"].map((name) => make("th", {textContent: say(name)})));
  const rows = Object.entries(newest.signals).map(([name, drift]) => make("tr", {className: newest.alarms.includes(name) ? "bad" : ""},
    make("td", {textContent: named(name)}), make("td", {textContent: drift.p >= 0.001 ? drift.p.toFixed(3) : drift.p.toExponential(0)}), make("td", {textContent: drift.distance.toFixed(2)})));
  page.signals.replaceChildren(head, ...rows);
  estimates(seen);
}

function estimates(seen) {
  const known = seen.looks.filter((one) => one.estimated_accuracy);
  if (!known.length) return empty(page.accuracy);
  const low = Math.min(seen.usual_accuracy, ...known.map((one) => one.estimated_accuracy.low));
  const [svg, y] = chart(page.accuracy, 1, Math.max(0, Math.floor(low * 10 - 0.5) / 10));
  const x = (place) => LEFT + 8 + (WIDE - LEFT - 16) * (known.length > 1 ? place / (known.length - 1) : 0.5);
  const points = (edge) => known.map((one, place) => `${x(place).toFixed(1)},${y(one.estimated_accuracy[edge]).toFixed(1)}`);
  svg.append(draw("polygon", {class: "band", points: [...points("high"), ...points("low").reverse()].join(" ")}));
  svg.append(draw("line", {class: "usual", x1: LEFT, x2: WIDE, y1: y(seen.usual_accuracy), y2: y(seen.usual_accuracy)}));
  svg.append(draw("text", {x: LEFT + 2, y: y(seen.usual_accuracy) + 13, text: say("usual")}));
  svg.append(draw("polyline", {class: "line", points: points("value").join(" ")}));
  known.forEach((one, place) => svg.append(draw("circle", {class: one.alarms.length ? "dot bad" : "dot", r: 3.5, cx: x(place), cy: y(one.estimated_accuracy.value)})));
}

function prepare(model) {
  const wanted = JSON.stringify([chosen, language]);
  if (inputs === wanted) return;
  inputs = wanted;
  const held = Object.fromEntries([...page.inputs.querySelectorAll("textarea")].map((node) => [node.name, node.value]));
  page.inputs.replaceChildren(...model.inputs.map((role) => {
    const area = make("textarea", {name: role, value: held[role] ?? ""});
    return make("label", {}, role, area);
  }));
  page.said.replaceChildren();
}

page.ask.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, version] = JSON.parse(chosen);
  const given = Object.fromEntries([...page.inputs.querySelectorAll("textarea")].map((node) => [node.name, node.value]));
  page.send.disabled = true;
  try {
    const said = await ask("/v1/predict", {model: name, version, inputs: [given], all_scores: true});
    page.said.replaceChildren(answered(said.predictions[0]));
  } catch (error) {
    page.said.replaceChildren(make("p", {className: "problem", textContent: error instanceof TypeError ? say("away") : error.message}));
  }
  page.send.disabled = false;
});

function answered(said) {
  const {score, decision, truncated_tokens: cut, scores, error, ...rest} = said;
  if (error) return make("p", {className: "problem", textContent: error});
  const values = Object.values(rest).filter((value) => value !== null);
  const text = values.map((value) => (typeof value === "object" ? JSON.stringify(value, null, 1) : String(value))).join(" · ");
  const more = Object.entries(scores ?? {}).sort((one, two) => two[1] - one[1]).slice(1, 5).map(([name, value]) => `${name} ${value.toFixed(3)}`).join(", ");
  const told = [TEXTS[language].decision[decision] ?? decision, ...(score === null ? [] : [say("sure", {score: score.toFixed(3)})])].join(", ");
  return make("div", {className: "answer"}, make("b", {textContent: text || "–"}), ` ${told}`, ...(more ? [make("div", {className: "note", textContent: say("scores") + more})] : []));
}

page.access.addEventListener("submit", (event) => {
  event.preventDefault();
  key = page.key.value.trim();
  page.key.value = "";
  page.access.hidden = true;
  problem = "";
  show();
});
page.language.addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; show(); });
look();
