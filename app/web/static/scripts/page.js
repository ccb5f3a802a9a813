// What every page can do: switch colours, copy a text, ask before something is deleted.

const SAID = { light: "Colours: light", dark: "Colours: dark", "": "Colours: as the system has them" };
const root = document.documentElement;

function say(text) {
  document.getElementById("said").textContent = text;
}

function nameTheme(button) {
  button.setAttribute("aria-label", SAID[root.dataset.theme ?? ""]);
}

function switchTheme(button) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order = dark ? ["", "light", "dark"] : ["", "dark", "light"];
  const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % order.length];
  if (next) {
    root.dataset.theme = next;
    localStorage.setItem("theme", next);
  } else {
    delete root.dataset.theme;
    localStorage.removeItem("theme");
  }
  nameTheme(button);
  say(SAID[next]);
  document.dispatchEvent(new Event("theme"));
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.textContent;
  button.textContent = "copied";
  say("Copied");
  setTimeout(() => (button.textContent = label), 1500);
}

document.querySelectorAll("[data-theme-switch]").forEach(nameTheme);

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches("[data-theme-switch]")) switchTheme(button);
  if (button?.matches("[data-copy]")) copy(button);
});

// What a person has opened or scrolled stays so when a part of the page is drawn again.
let kept = { open: [], scrolled: [] };

document.addEventListener("htmx:beforeSwap", () => {
  const places = [...document.querySelectorAll(".scroll, .log")];
  kept = {
    open: [...document.querySelectorAll("details[id][open]")].map((part) => part.id),
    scrolled: places.map((part) => [part.getAttribute("aria-label"), part.scrollLeft, part.scrollTop]),
  };
});

document.addEventListener("htmx:afterSwap", () => {
  trouble("");
  kept.open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  kept.scrolled.forEach(([label, left, top]) => {
    if (left || top) document.querySelector(`[aria-label="${CSS.escape(label)}"]`)?.scrollTo(left, top);
  });
});

function trouble(text) {
  document.getElementById("trouble").textContent = text;
}

document.addEventListener("htmx:sendError", () => trouble("The server does not answer. This page tries again."));
document.addEventListener("htmx:responseError", (event) => trouble(`The server refused: ${event.detail.xhr.status}. Load the page again.`));

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
