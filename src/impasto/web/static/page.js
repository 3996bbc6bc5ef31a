// The studio: pictures in, one job watched, everything else a consequence of that.

import { ask, listen, preview, send, thumbnail, upload, view } from "/static/api.js";
import { Brush } from "/static/brush.js";
import { Options } from "/static/options.js";

const at = (id) => document.getElementById(id);
const MOST = 8;
const state = { photo: null, paintings: [], jobs: new Map(), job: null, keep: null, waiting: 0 };
const say = (text) => (at("say").textContent = text);
const options = new Options(at("options"), at("find"), () => change());
const brush = new Brush(at("brush"), async (blob) => {
  state.keep = blob && (await upload(blob, "keep.png", "mask").catch((error) => say(error.message)));
  change();
});

// ---- pictures in ----

async function take(files, asPhoto) {
  for (const file of files) {
    say(`reading ${file.name} …`);
    try {
      const picture = await upload(file, file.name);
      if (picture.recipe && !asPhoto && picture.inputs?.content) return again(picture);
      if (asPhoto ?? !state.photo) state.photo = picture;
      else if (state.paintings.length < MOST) state.paintings.push(picture);
      for (const notice of picture.notices) note(notice);
      say(`${file.name}: ${picture.width}×${picture.height}`);
    } catch (error) {
      say(error.message);
    }
  }
  drawPictures();
  change(true);
}

function again(picture) {
  say("painted by impasto: its pictures and options are back");
  state.photo = state.pictures?.find(({ id }) => id === picture.inputs.content) ?? { id: picture.inputs.content };
  state.paintings = picture.inputs.styles.filter(Boolean).map((id) => ({ id, name: "" }));
  Object.assign(options.values, picture.recipe);
  drawPictures();
  change(true);
}

function note(text) {
  const item = document.createElement("li");
  item.textContent = text;
  at("notices").prepend(item);
  while (at("notices").children.length > 4) at("notices").lastChild.remove();
}

function image(source, text) {
  const picture = new Image();
  picture.src = source;
  picture.alt = text;
  return picture;
}

function drawPictures() {
  const { photo, paintings } = state;
  at("empty").hidden = Boolean(photo);
  if (photo) {
    at("photo").querySelector("span").replaceChildren(image(thumbnail(photo.id), photo.name || "the photo"));
    at("under").src = view(photo.id, 1536);
    at("keep").disabled = !photo.width;
  }
  at("paintings").replaceChildren(
    ...paintings.map((painting, number) => {
      const figure = document.createElement("figure");
      const away = document.createElement("button");
      away.type = "button";
      away.textContent = "×";
      away.setAttribute("aria-label", `take ${painting.name || "the painting"} away`);
      away.addEventListener("click", () => {
        paintings.splice(number, 1);
        drawPictures();
        change();
      });
      figure.append(image(thumbnail(painting.id), painting.name), away);
      return figure;
    }),
  );
  const shares = [...at("blend").querySelectorAll("input")].map(({ value }) => value);
  at("blend").replaceChildren(
    ...(paintings.length > 1 ? paintings : []).map((painting, number) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1, step: 0.05 });
      input.value = shares[number] ?? 0.5;
      input.addEventListener("change", () => change());
      label.append(`Share of ${painting.name || `painting ${number + 1}`}`, input);
      return label;
    }),
  );
}

for (const [id, asPhoto] of [["photo", true], ["painting", false]]) {
  const place = at(id);
  place.querySelector("input").addEventListener("change", (event) => take([...event.target.files], asPhoto));
  place.addEventListener("dragover", (event) => (event.preventDefault(), place.classList.add("over")));
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    place.classList.remove("over");
    take([...event.dataTransfer.files], asPhoto);
  });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => (event.preventDefault(), take([...event.dataTransfer.files])));
addEventListener("paste", (event) => event.clipboardData.files.length && take([...event.clipboardData.files]));

// ---- what is wished ----

function recipe() {
  const own = { ...options.values };
  const strength = Number(at("strength").value);
  const look = at("look").value;
  if (look !== "gram") own.style_loss = look.split(",");
  if (strength && look !== "neighbours") own.style_weight = Number((20 * 10 ** strength).toPrecision(3));
  if (look !== "gram" && strength) own.strength = Number(((strength + 1) * 0.3).toFixed(2));
  if (at("stroke").value !== "1") own.style_scale = [Number(at("stroke").value)];
  if (at("color").value !== "style") own.color = at("color").value;
  if (at("size").value !== "512") own.size = Number(at("size").value);
  if (at("outlines").checked) own.laplacian = ["4:10"];
  const shares = [...at("blend").querySelectorAll("input")].map(({ value }) => Number(value));
  if (shares.length && new Set(shares).size > 1 && shares.some(Boolean)) own.blend = shares;
  return own;
}

function wish(draft) {
  const { photo, paintings, keep } = state;
  const masks = keep ? { keep: keep.id } : {};
  return { content: photo.id, styles: paintings.map(({ id }) => id), recipe: recipe(), draft, start: null, masks };
}

function change(anew = false) {
  clearTimeout(state.waiting);
  if (state.photo && state.paintings.length) state.waiting = setTimeout(() => paint(anew), anew ? 0 : 500);
}

async function paint(anew) {
  const before = state.job && state.jobs.get(state.job);
  try {
    const job = await send("jobs", wish(true));
    if (before && ["running", "queued"].includes(before.state)) send(`jobs/${before.id}/stop`).catch(() => {});
    if (!anew) say("begun anew with these options");
    heard("job", job);
    show(job.id);
  } catch (error) {
    say(error.message);
  }
}

for (const id of ["strength", "stroke", "look", "color", "size", "outlines"])
  at(id).addEventListener("change", () => change());

// ---- the job that is watched ----

function show(id) {
  state.job = id;
  const job = state.jobs.get(id);
  for (const button of at("strip").querySelectorAll("button"))
    button.setAttribute("aria-current", button.dataset.id === id);
  if (!job) return;
  if (job.preview) at("over").src = preview(job);
  else at("over").removeAttribute("src");
  if (job.content && job.content !== state.photo?.id) at("under").src = view(job.content, 1536);
  draw(job);
}

function draw(job) {
  const busy = job.state === "running";
  at("empty").hidden = Boolean(state.photo || job.preview);
  at("bar").value = job.state === "done" ? 1 : job.fraction || 0;
  at("left").textContent = busy
    ? job.remaining ? `${Math.ceil(job.remaining)} s left` : "painting …"
    : { queued: "waits for its turn", done: `done in ${Math.round(job.seconds)} s`, stopped: "stopped", failed: job.error }[job.state];
  at("stop").disabled = !busy && job.state !== "queued";
  at("go").disabled = !["stopped", "failed"].includes(job.state);
  const there = Boolean(job.preview);
  for (const kind of ["png", "jpg", "webp", "tif"]) {
    at(kind).hidden = !there || busy;
    at(kind).href = `/api/jobs/${job.id}/picture?format=${kind}`;
  }
  at("copy").disabled = !there;
  if (job.width && job.memory) at("need").textContent = `${(job.memory / 2 ** 30).toFixed(1)} GiB of memory`;
  if (job.state === "failed" && job.error) say(job.error);
}

const curves = new Map();

function chart(job) {
  const total = job.losses?.total;
  if (!total || !job.step) return;
  const points = curves.get(job.id) ?? curves.set(job.id, []).get(job.id);
  points.push([job.step[0] / job.step[1], Math.log(total)]);
  if (job.id !== state.job || points.length < 2) return;
  const heights = points.map(([, height]) => height);
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const span = high - low || 1;
  line.setAttribute("points", points.map(([x, y]) => `${118 * x + 1},${26 - (24 * (y - low)) / span}`).join(" "));
  at("chart").replaceChildren(line);
}

function card(job) {
  let button = at("strip").querySelector(`[data-id="${job.id}"]`);
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.dataset.id = job.id;
    button.append(image("", ""), document.createElement("span"));
    button.addEventListener("click", () => show(job.id));
    const item = document.createElement("li");
    item.append(button);
    at("strip").prepend(item);
  }
  const [picture, text] = button.children;
  if (job.preview && (job.state !== "running" || !picture.getAttribute("src"))) picture.src = preview(job);
  picture.alt = `a picture of ${new Date(job.created * 1000).toLocaleString()}`;
  text.textContent = { running: "painting", queued: "waits", failed: "failed", stopped: "stopped" }[job.state] ?? "";
}

async function heard(kind, data) {
  if (kind === "open") return refresh();
  if (kind === "lost") return say("the connection is lost; trying again …");
  if (kind === "gone") {
    state.jobs.delete(data.id);
    at("strip").querySelector(`[data-id="${data.id}"]`)?.parentElement.remove();
  }
  if (kind !== "job") return;
  const before = state.jobs.get(data.id);
  state.jobs.set(data.id, data);
  card(data);
  chart(data);
  if (data.id !== state.job) return;
  if (data.preview && data.preview !== before?.preview) {
    const next = new Image();
    next.src = preview(data);
    next.decode().then(() => data.id === state.job && (at("over").src = next.src)).catch(() => {});
  }
  if (before?.state !== data.state) say({ done: "painted", stopped: "stopped; the best so far is kept", running: "painting" }[data.state] ?? "");
  draw(data);
}

async function refresh() {
  const jobs = await ask("jobs").catch((error) => (say(error.message), []));
  for (const job of [...jobs].reverse()) {
    state.jobs.set(job.id, job);
    card(job);
  }
  const latest = jobs[0];
  if (!state.job && latest) {
    const pictures = (state.pictures = await ask("pictures").catch(() => []));
    const known = (id) => pictures.find((picture) => picture.id === id) ?? { id, name: "" };
    state.photo = known(latest.content);
    state.paintings = latest.styles.map(known);
    drawPictures();
    show(latest.id);
  } else if (state.job) show(state.job);
}

// ---- buttons and keys ----

const act = (what) => state.job && send(`jobs/${state.job}/${what}`).catch((error) => say(error.message));
const split = (value) => {
  at("split").value = value;
  at("easel").style.setProperty("--split", `${value}%`);
};
at("stop").addEventListener("click", () => act("stop"));
at("go").addEventListener("click", () => act("continue"));
at("split").addEventListener("input", (event) => split(event.target.value));
at("keys").addEventListener("click", () => at("help").showModal());
at("one").addEventListener("click", () => at("one").setAttribute("aria-pressed", at("easel").classList.toggle("one")));
at("copy").addEventListener("click", async () => {
  const { command } = await ask(`jobs/${state.job}/command`);
  await navigator.clipboard.writeText(command);
  say("the command is copied");
});
at("keep").addEventListener("click", () => {
  const open = at("brush").hidden;
  at("keep").setAttribute("aria-pressed", open);
  if (open) brush.open(state.photo.width, state.photo.height);
  else brush.close();
  say(open ? "paint over what should stay as in the photo; Ctrl+Z takes a stroke back" : "");
});

function neighbour(step) {
  const buttons = [...at("strip").querySelectorAll("button")];
  const next = buttons[buttons.findIndex(({ dataset }) => dataset.id === state.job) + step];
  if (next) show(next.dataset.id);
}

addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && !at("brush").hidden) return brush.undo();
  if (event.target.matches("input:not([type=range]), select, textarea") || event.ctrlKey || event.metaKey) return;
  const inEasel = event.target === at("easel") || event.target === document.body;
  const keys = {
    s: () => act("stop"),
    g: () => act("continue"),
    1: () => at("one").click(),
    "?": () => at("help").showModal(),
    "[": () => neighbour(1),
    "]": () => neighbour(-1),
  };
  if (inEasel && event.key === " ") (event.preventDefault(), split(100));
  else if (inEasel && event.key === "ArrowLeft") split(Math.max(0, Number(at("split").value) - 5));
  else if (inEasel && event.key === "ArrowRight") split(Math.min(100, Number(at("split").value) + 5));
  else keys[event.key]?.();
});
addEventListener("keyup", (event) => event.key === " " && event.target === document.body && split(0));

ask("schema").then((schema) => options.draw(schema), (error) => say(error.message));
listen(heard);
