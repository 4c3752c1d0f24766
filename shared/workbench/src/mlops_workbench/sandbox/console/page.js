"use strict";

// Everything the sandbox says is put in as text (textContent), never as markup: a commit's subject, a failure's
// reason and a metric's name are written by others.

const EVERY = 1000; // milliseconds between two questions

const KINDS = {
  good: ["Succeeded", "SUCCEEDED", "Approved", "Completed", "InService", "OK"],
  bad: ["Failed", "FAILED", "FAULT", "TIMED_OUT", "Rejected", "Error", "ALARM"],
  busy: ["InProgress", "IN_PROGRESS", "Executing", "Starting", "Stopping", "Creating", "Updating", "Deleting"],
  wait: ["PendingManualApproval", "Waiting for approval", "INSUFFICIENT_DATA"],
};
const WORDS = {
  "": "not yet", SUCCEEDED: "Succeeded", FAILED: "Failed", IN_PROGRESS: "In progress", InProgress: "In progress",
  PendingManualApproval: "Pending approval", TIMED_OUT: "Timed out", FAULT: "Fault", STOPPED: "Stopped",
  InService: "In service", ALARM: "In alarm", INSUFFICIENT_DATA: "Insufficient data",
};

// element("td", {class: "time"}, "text", child, …)
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") made.append(child);
  }
  return made;
}

function status(value) {
  const kind = Object.keys(KINDS).find((name) => KINDS[name].includes(value)) || "";
  return element("span", { class: `status ${kind}`.trim() }, WORDS[value] || value);
}

function reason(text) {
  return text ? element("span", { class: "reason" }, text) : null;
}

function log(kind, account, id, what) {
  if (!id) return null;
  const query = new URLSearchParams({ kind, account, id });
  return element("a", { href: `/log?${query}`, "aria-label": `log of ${what}` }, "log");
}

function when(iso) {
  if (!iso) return "";
  const moment = new Date(iso);
  const today = moment.toDateString() === new Date().toDateString();
  const text = today ? moment.toLocaleTimeString() : moment.toLocaleString();
  return element("time", { datetime: iso, title: iso }, text);
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Number(seconds).toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

// columns: [[heading, class], …]; each row is a list of cells, the first one names the row.
function table(label, columns, rows) {
  const head = columns.map(([text, kind]) => element("th", { scope: "col", ...(kind ? { class: kind } : {}) }, text));
  const body = rows.map((cells) =>
    element("tr", {}, cells.map((cell, index) => {
      const kind = columns[index][1] ? { class: columns[index][1] } : {};
      return index ? element("td", kind, cell) : element("th", { scope: "row", ...kind }, cell);
    })),
  );
  return element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
    element("table", { "aria-label": label },
      element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}

function nothing(text) {
  return element("p", { class: "quiet" }, text);
}

// Where a person is to look before the answer. Only addresses of the web become links; others are shown as text.
function look(item) {
  const address = item.page || item.link;
  if (!address) return null;
  if (!item.page && !/^https?:\/\//i.test(address)) return element("p", { class: "quiet" }, address);
  return element("p", {}, element("a", { href: address, rel: "noreferrer", title: item.link }, item.page ? "report" : item.link));
}

function approvals(found) {
  return [table("Waiting for an answer", [["What"], ["About it"], ["Account"], ["To answer"]], found.map((item) => [
    item.kind === "action" ? `pipeline ${item.name}: ${item.stage} / ${item.target}` : `model package ${item.reference}`,
    [item.text, look(item)], item.account, element("code", {}, `mlops-sandbox approve ${item.reference}`),
  ]))];
}

function action(pipeline, item) {
  const isBuild = /^[A-Za-z0-9][\w-]*:[\w-]+$/.test(item.external);
  return element("li", {}, status(item.waits ? "Waiting for approval" : item.status), " ", item.name, " ",
    isBuild ? log("build", pipeline.account, item.external, item.name) : null, reason(item.summary));
}

function pipeline(item) {
  const latest = item.executions[0];
  return element("article", { "aria-label": `pipeline ${item.name}` },
    element("header", {}, element("h3", {}, item.name), latest ? status(latest.status) : nothing("has not run"),
      latest && latest.revision ? element("span", { class: "quiet" }, latest.revision) : null,
      latest ? element("span", { class: "quiet" }, when(latest.started)) : null,
      element("span", { class: "quiet" }, `account ${item.account}`)),
    element("ol", { class: "stages" }, item.stages.map((stage) =>
      element("li", {}, element("h4", {}, stage.name, status(stage.status)),
        element("ul", {}, stage.actions.map((each) => action(item, each)))))));
}

function execution(item) {
  return element("article", { "aria-label": `execution ${item.id}` },
    element("header", {}, element("h3", {}, item.pipeline), status(item.status),
      element("span", { class: "quiet id" }, item.id), element("span", { class: "quiet" }, when(item.started)),
      element("span", { class: "quiet" }, `account ${item.account}`), reason(item.reason)),
    item.steps.length
      ? table(`Steps of execution ${item.id}`, [["Step"], ["Kind"], ["Status"], ["Took", "number"], ["Log"]],
        item.steps.map((step) => [step.name, step.kind, [status(step.status), reason(step.reason)],
          duration(step.seconds), log("job", item.account, step.job, step.name)]))
      : nothing("no step has begun"));
}

function metrics(pairs) {
  return element("dl", { class: "metrics" }, pairs.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function packages(found) {
  if (!found.length) return [nothing("No model package is registered.")];
  return [table("Model packages", [["Model package"], ["Approval"], ["Metrics"], ["Created", "time"], ["Account"]],
    found.map((item) => [`${item.group} version ${item.version}`, status(item.approval), metrics(item.metrics),
      when(item.created), item.account]))];
}

function builds(found) {
  if (!found.length) return [nothing("Nothing has been built.")];
  return [table("Builds", [["Project"], ["Status"], ["Phase"], ["Started", "time"], ["Took", "number"], ["Account"], ["Log"]],
    found.map((item) => [item.project, [status(item.status), reason(item.reason)], item.phase.toLowerCase(),
      when(item.started), duration(item.seconds), item.account, log("build", item.account, item.id, item.id)]))];
}

function endpoints(found) {
  if (!found.length) return [nothing("No endpoint serves.")];
  return [table("Endpoints", [["Endpoint"], ["Status"], ["Model"], ["Configuration"], ["Changed", "time"], ["Account"]],
    found.map((item) => [item.name, [status(item.status), reason(item.reason)], item.model, item.configuration,
      when(item.updated), item.account]))];
}

function alarms(found) {
  if (!found.length) return [nothing("No alarm is set.")];
  return [table("Alarms", [["Alarm"], ["State"], ["Since", "time"], ["Account"]],
    found.map((item) => [item.name, [status(item.state), item.state === "ALARM" ? reason(item.reason) : null],
      when(item.since), item.account]))];
}

function events(found) {
  if (!found.length) return [nothing("No event yet.")];
  return [table("Events", [["Time", "time"], ["Source"], ["Event"], ["About"], ["Went to"], ["Account"]],
    found.map((item) => [when(item.time), item.source, item.detail_type, item.summary, item.outcome, item.account]))];
}

const PARTS = {
  approvals: approvals,
  pipelines: (found) => found.length ? found.map(pipeline)
    : [nothing("No pipeline yet: generate a repository and register it.")],
  executions: (found) => found.length ? found.map(execution) : [nothing("Nothing has run.")],
  packages, endpoints, alarms, builds, events,
  notices: (found) => [element("ul", {}, found.map((text) => element("li", {}, text)))],
};

// What each part showed last. A part that says the same is left alone: focus, selection and scroll stay.
const shown = {};

function show(overview) {
  document.getElementById("where").textContent = `${overview.folder} · ${overview.region} · ${overview.endpoint}`;
  const waits = overview.approvals.length;
  document.title = waits ? `(${waits}) mlops-sandbox` : "mlops-sandbox";
  for (const [name, make] of Object.entries(PARTS)) {
    const text = JSON.stringify(overview[name]);
    if (shown[name] === text) continue;
    shown[name] = text;
    const section = document.getElementById(name);
    if (name === "approvals" || name === "notices") section.hidden = overview[name].length === 0;
    replace(section.querySelector(".content"), make(overview[name]));
  }
}

function replace(content, children) {
  const focused = content.contains(document.activeElement) ? label(document.activeElement) : null;
  const scrolled = new Map([...content.querySelectorAll(".scroll")].map((box) => [label(box), box.scrollLeft]));
  const y = window.scrollY;
  content.replaceChildren(...children);
  for (const box of content.querySelectorAll(".scroll")) box.scrollLeft = scrolled.get(label(box)) || 0;
  if (focused) {
    [...content.querySelectorAll("a, [tabindex]")].find((each) => label(each) === focused)?.focus({ preventScroll: true });
  }
  window.scrollTo(window.scrollX, y);
}

function label(found) {
  return found.getAttribute("href") || found.getAttribute("aria-label");
}

const freshness = document.getElementById("freshness");
let timer = null;
let asking = false;

async function refresh() {
  timer = null;
  if (document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch("/overview.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`answer ${answer.status}`);
    const overview = await answer.json();
    show(overview);
    // Said once and not each second: the line is announced by screen readers.
    freshness.className = "";
    if (freshness.textContent !== "live") freshness.textContent = "live";
  } catch (error) {
    freshness.className = "lost";
    freshness.textContent = "no answer: the sandbox has ended, or was started again (mlops-sandbox status --open)";
  } finally {
    asking = false;
    if (!document.hidden && timer === null) timer = setTimeout(refresh, EVERY);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
  } else if (timer === null) {
    refresh();
  }
});
refresh();
