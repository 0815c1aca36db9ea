// Asking again and again, less often while nobody answers, and not at all while nobody looks.

const LONGEST_S = 30;
const PATIENCE_MS = 8000;

export class NoAnswer extends Error {}

export async function ask(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new NoAnswer("");
  }
  if (!response.ok) throw new NoAnswer((await response.text()).trim() || `HTTP ${response.status}`);
  return response;
}

export class Poll {
  // `take` gets each answer's JSON; `fail` gets NoAnswer and in how many seconds it is tried again.
  constructor(path, every_s, take, fail = () => {}) {
    Object.assign(this, { path, every_s, take, fail });
    this.pause_s = every_s;
    this.tag = null;
    this.timer = 0;
    this.busy = false;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.now();
    });
  }

  now() {
    clearTimeout(this.timer);
    if (!this.busy) this.turn();
  }

  async turn() {
    this.busy = true;
    try {
      const response = await ask(this.path);
      const tag = response.headers.get("ETag");
      if (tag === null || tag !== this.tag) {
        const answer = await response.json().catch(() => {
          throw new NoAnswer("the answer broke off");
        });
        this.take(answer);
      }
      this.tag = tag;
      this.pause_s = this.every_s;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.pause_s = Math.min(LONGEST_S, this.pause_s * 2);
      this.fail(error, this.pause_s);
    } finally {
      this.busy = false;
      if (!document.hidden) this.timer = setTimeout(() => this.turn(), this.pause_s * 1000);
    }
  }
}
