// Where pictures come from: the benchmark's strip, a file, a drop, the clipboard, the camera.

import { $, api, attempt, h, notice } from "/assets/studio.js";

const LARGEST = 32 * 2 ** 20;

export class Pictures {
  /** onChoose(name): a picture was chosen. */
  constructor(onChoose) {
    Object.assign(this, { onChoose, page: 0, chosen: null, sent: new Map() });
    $("#before").onclick = () => this.turn(this.page - 1);
    $("#after").onclick = () => this.turn(this.page + 1);
    $("#file").onchange = (event) => { this.send(event.target.files[0]); event.target.value = ""; };
    $("#camera").onclick = () => attempt(() => this.photograph());
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
      if (file) { event.preventDefault(); this.send(file); }
    });
    let inside = 0; // a dragged file enters and leaves every element of the page
    const files = (event) => event.dataTransfer.types.includes("Files");
    const show = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragenter", (event) => { if (files(event)) { inside++; show(true); } });
    document.addEventListener("dragleave", (event) => { if (files(event) && --inside <= 0) { inside = 0; show(false); } });
    document.addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
    document.addEventListener("drop", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      inside = 0;
      show(false);
      this.send(event.dataTransfer.files[0]);
    });
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
    const image = h("img", { src: this.address("thumbnail", name), alt: title, width: "52", height: "52", loading: "lazy", decoding: "async" });
    return Object.assign(h("button", { type: "button", title, onclick: () => this.choose(name) }, image), { picture: name });
  }

  choose(name) {
    this.chosen = name;
    this.mark();
    this.onChoose(name);
  }

  mark() {
    for (const tile of $("#tiles").children) tile.setAttribute("aria-pressed", tile.picture === this.chosen);
  }

  /** Send a picture of one's own, and choose it. */
  async send(file) {
    if (!file) return;
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
