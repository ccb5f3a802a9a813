// The API to click through, from the description this server gives of it, in the colours of the page.

const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
const colour = () => document.documentElement.classList.toggle("dark-mode", dark());

addEventListener("load", () => {
  colour();
  SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", deepLinking: true, validatorUrl: null });
});
document.addEventListener("theme", colour);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
