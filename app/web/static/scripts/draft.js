// Faults that the plan tells stand at their fields too.

function place(plan) {
  document.querySelectorAll(".draft .wrong").forEach((wrong) => (wrong.textContent = ""));
  document.querySelectorAll(".draft [aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  plan.querySelectorAll("[data-fault]").forEach((fault) => {
    const field = document.getElementById(fault.dataset.fault);
    field.setAttribute("aria-invalid", "true");
    document.getElementById(`${field.id}-fault`).textContent = fault.querySelector("span").textContent;
  });
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "plan") place(event.target);
});

// Enter in a field shows the plan; only the button sends the job. Leaving the field says what was typed, and says it once:
// a second time would draw the concerns anew when some of them are ticked already.
document.querySelector("[data-draft]").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input")) {
    event.preventDefault();
    event.target.blur();
    event.target.focus();
  }
});

// Another model has other concerns. What was ticked, also while the server was asked, stays so where it is offered.
let ticked = [];

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (event.target.id !== "concerns-part") return;
  ticked = [...event.target.querySelectorAll(":checked")].map((box) => box.value);
});

document.addEventListener("htmx:oobAfterSwap", (event) => {
  event.target.querySelectorAll("#concerns-part input[type=checkbox]").forEach((box) => (box.checked ||= ticked.includes(box.value)));
});
