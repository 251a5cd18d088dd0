// The page of `finecomb annotate serve`. Offsets here are UTF-16 units, as JavaScript counts; the server turns them into code points.
"use strict";

const $ = (id) => document.getElementById(id);
const TOKEN = document.querySelector('meta[name="token"]').content;
const LONGEST = 50000; // units of a text that is cut into words; a longer one takes spans by mouse only

let task = null;
let row = null;
let chosen = []; // labels of the text
let spans = []; // {start, end, label}
let words = []; // {start, end}: what the cursor goes through
let cursor = -1; // a word, -1: none
let anchor = -1; // the word where a selection by words began
let picked = null; // {start, end}: what a label would be given to
let busy = false;

async function ask(path, body) {
  const options = { headers: { "X-Token": TOKEN } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the command does not answer: nothing was saved; start it again and load this page anew");
  }
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  return value;
}

// One thing at a time: a key that is pressed while an answer is on its way waits, so that it never meets the wrong row.
const waiting = [];
async function run(work) {
  if (busy) {
    if (waiting.length < 20) waiting.push(work);
    return;
  }
  busy = true;
  try {
    await work();
    $("error").hidden = true;
  } catch (error) {
    waiting.length = 0;
    $("error").textContent = error.message;
    $("error").hidden = false;
  }
  busy = false;
  if (waiting.length) run(waiting.shift());
}

function cut(text) {
  if (text.length > LONGEST) return [];
  const pieces = [];
  if (window.Intl && Intl.Segmenter) {
    for (const piece of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
      if (piece.segment.trim()) pieces.push({ start: piece.index, end: piece.index + piece.segment.length });
    }
  } else {
    for (const match of text.matchAll(/\S+/gu)) pieces.push({ start: match.index, end: match.index + match[0].length });
  }
  return pieces;
}

async function show(number) {
  row = await ask(`/row/${number}`);
  const opinion = row.answer || row.suggestion || { labels: [], spans: [] };
  chosen = [...opinion.labels];
  spans = opinion.spans.map((span) => ({ ...span }));
  words = task.spans.length ? cut(row.text) : [];
  cursor = anchor = -1;
  picked = null;
  const said = $("said");
  if (row.answer) said.textContent = row.answer.answer === "ignore" ? "· skipped" : "· answered";
  else if (row.suggestion) {
    const sure = row.suggestion.confidence === null ? "" : ` (${row.suggestion.confidence.toFixed(2)})`;
    said.textContent = `· suggested${row.suggestion.labels.length ? ": " + row.suggestion.labels.join(", ") : ""}${sure}`;
  } else said.textContent = "";
  $("place").textContent = `row ${number + 1} of ${task.counts.rows}`;
  $("text").scrollTop = 0;
  draw();
}

// The text as pieces between all edges of words, spans and what is picked, each knowing where it begins.
function draw() {
  const text = $("text");
  text.classList.remove("done");
  const edges = new Set([0, row.text.length]);
  for (const each of [...spans, ...(picked ? [picked] : []), ...(cursor >= 0 ? [words[cursor]] : [])]) edges.add(each.start).add(each.end);
  const order = [...edges].sort((a, b) => a - b);
  const pieces = [];
  for (let at = 0; at + 1 < order.length; at++) {
    const [start, end] = [order[at], order[at + 1]];
    const over = spans.filter((span) => span.start <= start && end <= span.end);
    const piece = document.createElement(over.length ? "mark" : "span");
    piece.textContent = row.text.slice(start, end);
    piece.dataset.start = start;
    if (over.length) {
      const inner = over.reduce((a, b) => (b.end - b.start < a.end - a.start ? b : a));
      piece.className = colour(inner.label);
      piece.title = over.map((span) => span.label).join(", ");
    }
    if (picked && picked.start <= start && end <= picked.end) piece.classList.add("picked");
    if (cursor >= 0 && words[cursor].start <= start && end <= words[cursor].end) piece.classList.add("at");
    pieces.push(piece);
  }
  text.replaceChildren(...pieces);
  const at = text.querySelector(".at");
  if (at) at.scrollIntoView({ block: "nearest" });
  $("marked").replaceChildren(
    ...spans.map((span) => {
      const item = document.createElement("li");
      item.className = colour(span.label);
      const name = document.createElement("bdi");
      name.textContent = row.text.slice(span.start, span.end);
      const off = document.createElement("button");
      off.type = "button";
      off.textContent = "×";
      off.setAttribute("aria-label", `remove ${span.label}`);
      off.onclick = () => remove(span);
      item.append(`${span.label}: `, name, off);
      return item;
    }),
  );
  for (const button of $("labels").children) button.setAttribute("aria-pressed", String(chosen.includes(button.dataset.label)));
  for (const button of $("spans").children) button.disabled = !picked;
  $("back").disabled = row.number === 0;
  $("on").disabled = row.number + 1 === task.counts.rows;
}

const colour = (label) => `c${Math.max(0, task.spans.indexOf(label)) % 8}`;

function count(counts) {
  task.counts = counts;
  $("bar").max = counts.rows;
  $("bar").value = counts.answered;
  $("progress").textContent = `${counts.answered} of ${counts.rows} answered` + (counts.skipped ? `, ${counts.skipped} skipped` : "");
}

function finish() {
  row = null;
  $("text").replaceChildren("Every row is answered. The page can be closed; k goes back to the last row.");
  $("text").classList.add("done");
  $("marked").replaceChildren();
  $("place").textContent = $("said").textContent = "";
  $("back").disabled = false;
}

async function save(answer) {
  if (!row) return;
  if (answer === "accept" && task.labels.length && !task.several && !chosen.length) throw new Error("choose a label first, or skip the row");
  const given = spans.map(({ start, end, label }) => ({ start, end, label, text: row.text.slice(start, end) }));
  const reply = await ask("/answer", { number: row.number, answer, labels: chosen, spans: given });
  $("saved").textContent = `row ${row.number + 1} saved`;
  count(reply.counts);
  if (reply.next === null) finish();
  else await show(reply.next);
}

async function undo() {
  const reply = await ask("/undo", {});
  count(reply.counts);
  if (reply.row === null) throw new Error("there is no answer of this session to take back");
  $("saved").textContent = `row ${reply.row + 1} taken back`;
  await show(reply.row);
}

async function move(step) {
  const number = row ? row.number + step : task.counts.rows - 1;
  if (number >= 0 && number < task.counts.rows) await show(number);
}

async function choose(label) {
  if (!row) return;
  if (task.several) chosen = chosen.includes(label) ? chosen.filter((name) => name !== label) : [...chosen, label];
  else chosen = [label];
  // A class is the whole answer where nothing else is asked.
  if (!task.several && !task.spans.length) await save("accept");
  else draw();
}

function mark(label) {
  if (!row || !picked) return;
  const same = (span) => span.start === picked.start && span.end === picked.end;
  // The same label on the same piece again takes it off; another one takes its place.
  const had = spans.find(same);
  spans = spans.filter((span) => !same(span));
  if (!had || had.label !== label) spans.push({ ...picked, label });
  spans.sort((a, b) => a.start - b.start || a.end - b.end);
  unpick();
}

function remove(span) {
  spans = spans.filter((each) => each !== span);
  draw();
}

function unpick() {
  picked = null;
  anchor = -1;
  window.getSelection().removeAllRanges();
  draw();
}

function pickWords(to, extend) {
  if (!words.length) return;
  to = Math.min(Math.max(to, 0), words.length - 1);
  anchor = extend ? (anchor < 0 ? (cursor < 0 ? to : cursor) : anchor) : to;
  cursor = to;
  picked = { start: words[Math.min(anchor, to)].start, end: words[Math.max(anchor, to)].end };
  draw();
}

// Where a place in the page is in the text; null outside it.
function offset(node, at) {
  const text = $("text");
  if (!text.contains(node)) return null;
  if (node === text) return at < text.children.length ? Number(text.children[at].dataset.start) : row.text.length;
  const piece = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
  return Number(piece.dataset.start) + (node.nodeType === Node.TEXT_NODE ? at : at ? piece.textContent.length : 0);
}

// What the mouse or a finger has selected, without white space at its ends and never half a character.
function pickSelection() {
  const selection = window.getSelection();
  if (!row || !task.spans.length || selection.isCollapsed || !selection.rangeCount) return;
  const range = selection.getRangeAt(0);
  let start = offset(range.startContainer, range.startOffset);
  let end = offset(range.endContainer, range.endOffset);
  if (start === null) return;
  if (end === null) end = row.text.length;
  const low = (unit) => unit >= 0xdc00 && unit <= 0xdfff;
  if (low(row.text.charCodeAt(start))) start--;
  if (low(row.text.charCodeAt(end))) end++;
  while (start < end && /\s/.test(row.text[start])) start++;
  while (end > start && /\s/.test(row.text[end - 1])) end--;
  if (start >= end) return;
  picked = { start, end };
  anchor = cursor = -1;
  for (const button of $("spans").children) button.disabled = false;
}

function digit(number) {
  if (task.spans.length && picked && number <= task.spans.length) return mark(task.spans[number - 1]);
  if (number <= task.labels.length) return choose(task.labels[number - 1]);
}

function spanKey(event) {
  const right = event.key === "ArrowRight";
  if (!right && event.key !== "ArrowLeft") return false;
  const reversed = getComputedStyle($("text")).direction === "rtl";
  const step = right !== reversed ? 1 : -1;
  pickWords(cursor < 0 ? (step > 0 ? 0 : words.length - 1) : cursor + step, event.shiftKey && cursor >= 0);
  return true;
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const name = event.key;
  let work = null;
  if (/^[1-9]$/.test(name)) work = () => digit(Number(name));
  else if (name === "j" || name === "ArrowDown") work = () => move(1);
  else if (name === "k" || name === "ArrowUp") work = () => move(-1);
  else if (name === "u") work = undo;
  else if (name === "s") work = () => save("ignore");
  else if (name === "Enter" && event.target.tagName !== "BUTTON") work = () => save("accept");
  else if (name === "Escape") work = () => row && unpick();
  else if ((name === "Backspace" || name === "x") && task.spans.length) work = () => row && takeOff();
  else if (task.spans.length && row && (name === "ArrowLeft" || name === "ArrowRight")) work = () => row && spanKey(event);
  else if (name === "ArrowRight") work = () => move(1);
  else if (name === "ArrowLeft") work = () => move(-1);
  if (!work) return;
  event.preventDefault();
  run(async () => work());
}

// The span under what is picked, else the last one.
function takeOff() {
  const under = picked && spans.find((span) => span.start < picked.end && picked.start < span.end);
  if (under || spans.length) remove(under || spans[spans.length - 1]);
}

function button(label, number, choose_, kind) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.label = label;
  if (kind) made.className = kind;
  const name = document.createElement("bdi");
  name.textContent = label;
  made.append(name);
  if (number <= 9) {
    const hint = document.createElement("kbd");
    hint.textContent = number;
    made.append(" ", hint);
  }
  // A press must not take the selection away.
  made.onpointerdown = (event) => event.preventDefault();
  made.onclick = () => run(async () => choose_(label));
  return made;
}

function tapped(event) {
  if (!row || !words.length || !window.getSelection().isCollapsed) return;
  const point = [event.clientX, event.clientY];
  const place = document.caretPositionFromPoint ? document.caretPositionFromPoint(...point) : null;
  const range = place || !document.caretRangeFromPoint ? null : document.caretRangeFromPoint(...point);
  if (!place && !range) return;
  const at = place ? offset(place.offsetNode, place.offset) : offset(range.startContainer, range.startOffset);
  const word = at === null ? -1 : words.findIndex((each) => each.start <= at && at <= each.end);
  // A second tap reaches from the first word to this one.
  if (word >= 0) pickWords(word, event.shiftKey || (event.pointerType === "touch" && anchor >= 0 && word !== cursor));
}

async function begin() {
  task = await ask("/task");
  $("who").textContent = task.annotator;
  count(task.counts);
  $("labels").replaceChildren(...task.labels.map((label, at) => button(label, at + 1, choose)));
  $("spans").replaceChildren(...task.spans.map((label, at) => button(label, at + 1, mark, colour(label))));
  const keys = ["1–9 label", task.spans.length ? "←→ word, Shift+←→ more words, x remove" : "←→ or j k row", "u undo", "s skip", "Enter save"];
  $("keys").textContent = keys.join(" · ");
  $("back").onclick = () => run(() => move(-1));
  $("on").onclick = () => run(() => move(1));
  $("undo").onclick = () => run(undo);
  $("skip").onclick = () => run(() => save("ignore"));
  $("confirm").onclick = () => run(() => save("accept"));
  $("text").onclick = tapped;
  document.addEventListener("keydown", key);
  document.addEventListener("selectionchange", pickSelection);
  if (task.next === null) finish();
  else await show(task.next);
}

run(begin);
