// A job under way: its event stream rings, and the page asks for itself again, at most twice a second.

const PAUSE = 500;
const TERMINAL = ["job.succeeded", "job.failed", "job.cancelled", "job.expired"];
const KINDS = ["job.queued", "job.running", "job.phase", "job.progress", "job.requeued", "module.estimated", "module.ready", "artifact.ready", "job.cancelling", ...TERMINAL];

const job = () => document.getElementById("job");
let due = null;

function refresh() {
  due ??= setTimeout(() => {
    due = null;
    htmx.trigger(job(), "news");
  }, PAUSE);
}

function follow(address) {
  const stream = new EventSource(address);
  const ring = (event) => {
    refresh();
    if (TERMINAL.includes(event.type)) {
      stream.close();
      document.getElementById("said").textContent = `The job has ${event.type.slice(4)}`;
    }
  };
  KINDS.forEach((kind) => stream.addEventListener(kind, ring));
}

if (job().dataset.events) follow(job().dataset.events);
