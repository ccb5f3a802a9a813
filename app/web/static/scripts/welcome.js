// A link on another site brings people here without their session, which browsers keep from it. Who has one goes on.

const next = document.querySelector("[data-next]").dataset.next;
const answer = await fetch(next, { redirect: "manual", headers: { Accept: "text/html" } });
if (answer.ok) location.replace(next);
