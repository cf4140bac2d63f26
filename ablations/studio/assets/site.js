// Pages of plain files: a class under the cursor shows its cost maps in place of the segmentations.
for (const row of document.querySelectorAll(".site-picture")) {
  const images = [...row.querySelectorAll("img[data-maps]")];
  const show = (file, button) => {
    for (const image of images) image.src = file ? `${image.dataset.maps}/${file}` : image.dataset.plain;
    for (const other of row.querySelectorAll("button[data-map]")) other.setAttribute("aria-pressed", other === button);
  };
  let kept = null;
  for (const button of row.querySelectorAll("button[data-map]")) {
    button.addEventListener("mouseenter", () => show(button.dataset.map, button));
    button.addEventListener("focus", () => show(button.dataset.map, button));
    button.addEventListener("mouseleave", () => show(kept && kept.dataset.map, kept));
    button.addEventListener("blur", () => show(kept && kept.dataset.map, kept));
    button.addEventListener("click", () => {
      kept = kept === button ? null : button;
      show(kept && kept.dataset.map, kept);
    });
  }
}
