// Where pictures come from: the benchmark's strip, a file, a drop, the clipboard, the camera.

import { receive, tile, warn } from "/assets/filmstrip.js";
import { $, api, attempt, notice } from "/assets/studio.js";

const LARGEST = 32 * 2 ** 20;

export class Pictures {
  /** onChoose(name): a picture was chosen. */
  constructor(onChoose) {
    Object.assign(this, { onChoose, page: 0, chosen: null, sent: new Map() });
    $("#before").onclick = () => this.turn(this.page - 1);
    $("#after").onclick = () => this.turn(this.page + 1);
    receive($("#file"), (file) => this.send(file));
    $("#camera").onclick = () => attempt(() => this.photograph());
  }

  address(kind, name) {
    return `/api/try/${kind}?${new URLSearchParams({ name, of: this.benchmark ?? "" })}`;
  }

  async turn(page) {
    const answer = await attempt(() => api(`/api/try/pictures?page=${Math.max(0, page)}`));
    if (!answer) return;
    this.page = answer.page;
    this.benchmark = answer.benchmark;
    this.names = answer.names;
    const last = (answer.page + 1) * answer.per_page >= answer.total;
    $("#before").disabled = answer.page === 0;
    $("#after").disabled = last;
    const own = [...this.sent.keys()];
    $("#tiles").replaceChildren(...[...own, ...answer.names].map((name) => this.tile(name)));
    this.mark();
  }

  tile(name) {
    const title = name.startsWith("sent-") ? "Your picture" : name;
    return Object.assign(tile(title, this.address("thumbnail", name), () => this.choose(name)), { picture: name });
  }

  choose(name) {
    this.chosen = name;
    this.mark();
    warn(name.startsWith("sent-"));
    this.onChoose(name);
  }

  mark() {
    for (const one of $("#tiles").children) one.setAttribute("aria-pressed", one.picture === this.chosen);
  }

  /** Send a picture of one's own, and choose it. */
  async send(file) {
    if (file.size > LARGEST) return notice("That is more than 32 MB: make the picture smaller.", "error");
    $("#frame").classList.add("stale");
    const answer = await attempt(() => api("/api/try/send", new Blob([file])));
    $("#frame").classList.remove("stale");
    if (!answer) return;
    if (!this.sent.has(answer.name)) $("#tiles").prepend(this.tile(answer.name));
    this.sent.set(answer.name, file);
    const size = ([high, wide]) => `${wide} × ${high}`;
    if (answer.of) notice(`The picture has ${size(answer.of)} pixels; it is segmented at ${size(answer.size)}.`);
    this.choose(answer.name);
    $("#tiles").firstElementChild.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Send a picture once more that the studio has let go; false if it is not here either. */
  async again(name) {
    const file = this.sent.get(name);
    return Boolean(file && await api("/api/try/send", new Blob([file])));
  }

  async photograph() {
    if (!navigator.mediaDevices) return notice("This browser gives a camera only to addresses with https, and to 127.0.0.1.", "error");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      return notice(`The camera cannot be used: ${error.message || error.name}`, "error");
    }
    const dialog = $("#lens"), video = $("video", dialog);
    video.srcObject = stream;
    dialog.showModal();
    dialog.addEventListener("close", () => stream.getTracks().forEach((track) => track.stop()), { once: true });
    $("#leave").onclick = () => dialog.close();
    $("#shoot").onclick = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
      if (!canvas.width) return;
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => { dialog.close(); this.send(blob); }, "image/png");
    };
  }
}
