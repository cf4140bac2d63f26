import { $, api, attempt, h, percent, untilReady } from "/assets/studio.js";
import { curve } from "/assets/curve.js";
import { copy, spell } from "/assets/spell.js";

const BEST = "best_prompts.json";
const name = $("#run").dataset.name;
const address = (file) => `/runs/files/${[...name.split("/"), file].map(encodeURIComponent).join("/")}`;

function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB"];
  let at = 0, left = bytes;
  while (left >= 1024 && at < units.length - 1) { left /= 1024; at += 1; }
  return `${at ? left.toFixed(1) : left} ${units[at]}`;
}

async function show() {
  const run = await api(`/api/runs/one?run=${encodeURIComponent(name)}`);
  const best = run.best ? `best: ${run.best}${run.score === null ? "" : `, mIoU ${percent(run.score)} %`}` : "";
  $("#about").textContent = [run.kind, run.title, best, new Date(1000 * run.created).toLocaleString(), run.path].filter(Boolean).join(" · ");
  $("#summary").textContent = run.summary;
  const drawn = [run.losses && curve(run.losses, "loss"), run.scores && curve(run.scores, "mIoU")].filter(Boolean);
  $("#curve").replaceChildren(...drawn);
  if (run.command) {
    $("#made").hidden = false;
    spell($("#command"), run.command);
    $("#copy").onclick = () => copy(run.command);
    $("#refine").hidden = run.kind !== "run";
    if (run.files.some((file) => file.name === BEST)) {
      $("#compare").hidden = false;
      $("#compare").href = `/compare?${new URLSearchParams({ second: JSON.stringify({ kind: "run", run: name, file: BEST }) })}`;
    }
    $("#refine").href = `/runs?command=refine&run=${encodeURIComponent(name)}`;
  }
  if (run.report) {
    $("#report").hidden = false;
    $("#summary").hidden = true;  // the report begins with it
    $("#alone").href = address("report.html");
    // Its own origin, of nobody: the frame cannot reach the studio, whatever is in the file.
    $("#report").append(h("iframe", { src: address("report.html"), sandbox: "allow-scripts", title: `The report of ${name}`, loading: "lazy" }));
  }
  $("#files tbody").replaceChildren(...run.files.map((file) =>
    h("tr", {}, h("th", { scope: "row" }, h("a", { href: address(file.name), download: file.name }, file.name)), h("td", { class: "n" }, size(file.bytes)))));
}

attempt(show);
attempt(untilReady);
