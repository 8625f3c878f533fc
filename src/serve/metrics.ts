// What the service counts, in Prometheus' text format (0.0.4).

type Labels = Readonly<Record<string, string | number>>;

const bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]; // seconds

export class ServiceMetrics {
  readonly #requests = new Map<string, number>();
  readonly #seconds = new Map<string, number[]>();
  #batches = 0;
  #samples = 0;

  /** A request that was answered. */
  request(route: string, status: number, seconds: number): void {
    const key = labelText({ route, status });
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    const times = this.#seconds.get(route) ?? new Array<number>(bounds.length + 2).fill(0);
    bounds.forEach((bound, i) => void (seconds <= bound && times[i]!++));
    times[bounds.length]!++;
    times[bounds.length + 1]! += seconds;
    this.#seconds.set(route, times);
  }

  /** A batch that was computed. */
  batch(samples: number): void {
    this.#batches++;
    this.#samples += samples;
  }

  /** `gauges` are what is true now. */
  text(gauges: Readonly<Record<string, [help: string, value: number]>>): string {
    const lines: string[] = [];
    const family = (name: string, kind: string, help: string) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    family("vitok_requests_total", "counter", "Requests answered, by route and status.");
    for (const [labels, value] of this.#requests)
      lines.push(`vitok_requests_total${labels} ${value}`);
    family("vitok_request_seconds", "histogram", "Time from a request to its answer.");
    for (const [route, times] of this.#seconds) this.#histogram(route, times, lines);
    family("vitok_batches_total", "counter", "Batches computed.");
    lines.push(`vitok_batches_total ${this.#batches}`);
    family("vitok_batch_samples_total", "counter", "Samples in them.");
    lines.push(`vitok_batch_samples_total ${this.#samples}`);
    for (const [name, [help, value]] of Object.entries(gauges)) {
      family(name, "gauge", help);
      lines.push(`${name} ${value}`);
    }
    return `${lines.join("\n")}\n`;
  }

  #histogram(route: string, times: readonly number[], lines: string[]): void {
    const name = "vitok_request_seconds";
    const [count, sum] = times.slice(-2) as [number, number];
    bounds.forEach((bound, i) => {
      lines.push(`${name}_bucket${labelText({ route, le: bound })} ${times[i]}`);
    });
    lines.push(`${name}_bucket${labelText({ route, le: "+Inf" })} ${count}`);
    lines.push(`${name}_sum${labelText({ route })} ${sum}`);
    lines.push(`${name}_count${labelText({ route })} ${count}`);
  }
}

const labelText = (labels: Labels) =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",")}}`;
