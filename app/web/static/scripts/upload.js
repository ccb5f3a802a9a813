// A file on its way: digested here, sent through this server, checked there, registered under an id of its own.

const form = document.querySelector("[data-upload]");
const kind = form.dataset.upload;
const bar = form.querySelector("progress");
const step = form.querySelector("[data-step]");
const fault = document.getElementById("upload-fault");

class Refused extends Error {}

async function ask(address, body) {
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const told = await answer.json();
  if (!answer.ok) throw new Refused([told.detail, told.hint].filter(Boolean).join(" "));
  return told;
}

function send(address, file) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.upload.onprogress = (event) => (bar.value = event.loaded / file.size);
    request.onload = () => (request.status < 300 ? done() : failed(new Refused(JSON.parse(request.responseText).detail)));
    request.onerror = () => failed(new Refused("The connection broke. Send the file again."));
    request.send(file);
  });
}

async function digest(file) {
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What is said of how the data is read. A fraction that is no number stays a text, for the server to refuse.
function formOf(fields) {
  const entries = (names) => names.map((name) => [name, fields.get(name)?.trim()]).filter(([, value]) => value);
  const said = Object.fromEntries(entries(["text_column", "text_pair_column", "label_column", "delimiter", "encoding"]));
  const labels = (fields.get("label_columns") ?? "").split(/[,;]/).map((name) => name.trim()).filter(Boolean);
  if (labels.length) said.label_columns = labels;
  const carve = entries(["carve.test", "carve.validation"]).map(([name, value]) => [name.slice(6), Number(value) || value]);
  return carve.length ? { ...said, carve: Object.fromEntries(carve) } : said;
}

async function bring(file, said) {
  step.textContent = "Reading the file";
  const sha256 = await digest(file);
  const upload = await ask("/v1/uploads", { kind, filename: file.name, size_bytes: file.size, sha256 });
  if (upload.state === "open") {
    step.textContent = "Sending";
    bar.hidden = false;
    await send(upload.urls.content, file);
    await ask(upload.urls.complete, { sha256 });
  }
  step.textContent = "Checking";
  const made = await ask(`/v1/${kind}s`, { upload: upload.id, ...said });
  location.assign(`/${kind}s/${made.id}`);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  const button = form.querySelector("button");
  fault.textContent = "";
  button.disabled = true;
  try {
    await bring(fields.get("file"), formOf(fields));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    fault.textContent = error.message;
    step.textContent = "";
  } finally {
    button.disabled = false;
    bar.hidden = true;
  }
});
