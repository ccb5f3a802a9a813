// All modules of a job at once, or none of them.

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-choose]");
  if (!button) return;
  const boxes = [...button.closest("details").querySelectorAll("input[type=checkbox]")];
  const all = boxes.every((box) => box.checked);
  boxes.forEach((box) => (box.checked = !all));
  boxes[0].dispatchEvent(new Event("change", { bubbles: true }));
});
