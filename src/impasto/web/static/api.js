// The server, asked. Every failure is an Error with the one line that the server says.

export async function ask(path, options = {}) {
  const answer = await fetch(`/api/${path}`, options);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error || `the server says ${answer.status}`);
}

export const send = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

export const upload = (file, name, kind) =>
  ask("pictures", {
    method: "PUT",
    headers: {
      "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream",
      "X-Name": encodeURIComponent(name),
      ...(kind ? { "X-Kind": kind } : {}),
    },
    body: file,
  });

export function listen(heard) {
  const source = new EventSource("/api/events");
  for (const kind of ["job", "gone", "picture"])
    source.addEventListener(kind, (event) => heard(kind, JSON.parse(event.data)));
  source.addEventListener("open", () => heard("open", null));
  source.addEventListener("error", () => heard("lost", null));
}

export const view = (id, side) => `/api/pictures/${id}/view?side=${side}`;
export const thumbnail = (id) => `/api/pictures/${id}/thumbnail`;
export const preview = (job) => `/api/jobs/${job.id}/preview?v=${job.preview}`;
