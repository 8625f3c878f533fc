// Says where a main thread stands that does not come back: JavaScript's frames where it is in JavaScript, and what the kernel
// says of each thread. `watch(seconds)` returns beat(name), to be called at each step; reports go to stderr.
import { readdirSync, readFileSync, writeSync } from "node:fs";
import inspector from "node:inspector";
import { isMainThread, Worker, workerData } from "node:worker_threads";

export function watch(seconds) {
  const shared = new SharedArrayBuffer(4 + 256);
  const [count, name] = [new Int32Array(shared, 0, 1), new Uint8Array(shared, 4)];
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared, seconds } });
  worker.unref();
  return (step) => {
    name.fill(0).set(Buffer.from(step).subarray(0, 256));
    Atomics.add(count, 0, 1);
  };
}

function look({ shared, seconds }) {
  const [count, name] = [new Int32Array(shared, 0, 1), new Uint8Array(shared, 4)];
  let [seen, since, hasTold] = [0, Date.now(), false];
  setInterval(() => {
    const now = Atomics.load(count, 0);
    if (now !== seen) [seen, since, hasTold] = [now, Date.now(), false];
    if (hasTold || Date.now() - since < 1e3 * seconds) return;
    hasTold = true;
    say(`no beat for ${seconds} s since "${Buffer.from(name).toString().replaceAll("\0", "")}"`);
    tellFrames();
    for (const task of readdirSync("/proc/self/task")) tellTask(`/proc/self/task/${task}`);
  }, 500);
}

const say = (text) => writeSync(2, `watch: ${text}\n`);

/** Frames come once the main thread runs JavaScript; in native code it does not answer. */
function tellFrames() {
  const session = new inspector.Session();
  session.connectToMainThread();
  session.on("Debugger.paused", ({ params }) => {
    const frames = params.callFrames.map(
      ({ functionName, url, location }) => `${functionName} ${url}:${location.lineNumber + 1}`,
    );
    say(`in JavaScript: ${frames.join(" < ")}`);
    session.post("Debugger.resume");
  });
  session.post("Debugger.enable");
  session.post("Debugger.pause");
}

function tellTask(folder) {
  const read = (file) => {
    try {
      return readFileSync(`${folder}/${file}`, "utf8").trim();
    } catch {
      return "";
    }
  };
  const state = /State:\s*(.*)/.exec(read("status"))?.[1];
  const [, , , , , , , , , , , , , user, system] = read("stat").split(" ");
  say(
    `${read("comm")} ${state} in ${read("wchan") || "?"} ${read("syscall")} cpu ${user} ${system}`,
  );
}

if (!isMainThread && workerData?.shared) look(workerData);
