// The budget control: one KL, and everything that follows from it.

const grid = data.grid;

// Between two budgets of the grid: straight lines over sqrt(KL), where frontiers are nearly straight.
// The two sides of the end of trust are both on the grid, so nothing is carried across it.
function between(name, kl, nodes = grid.kl, row = grid[name]) {
  let right = nodes.findIndex((node) => node >= kl);
  if (right < 0) right = nodes.length - 1;
  if (nodes[right] === kl || right === 0) return row[right];
  const [a, b] = [row[right - 1], row[right]];
  if (!known(a) || !known(b)) return null;
  const [from, to] = [Math.sqrt(nodes[right - 1]), Math.sqrt(nodes[right])];
  return a + ((b - a) * (Math.sqrt(kl) - from)) / (to - from);
}

// The number of samples needed is rounded up, never in between.
function needed(kl) {
  const right = grid.kl.findIndex((node) => node >= kl);
  return grid.needed[right < 0 ? grid.needed.length - 1 : right];
}

// KL of best-of-N where no rewards tie; where some do, less, by a ratio that is smooth in N.
const untied = (n) => Math.log(n) - (n - 1) / n;

function spends(n) {
  const { sizes, kl } = grid.bestOfN;
  if (!sizes) return untied(n);
  const right = sizes.findIndex((size) => size >= n);
  if (right < 0) return kl[kl.length - 1];
  if (sizes[right] === n || right < 2) return kl[right];
  const [a, b] = [kl[right - 1] / untied(sizes[right - 1]), kl[right] / untied(sizes[right])];
  const share = Math.log(n / sizes[right - 1]) / Math.log(sizes[right] / sizes[right - 1]);
  return untied(n) * (a + (b - a) * share);
}

// The smallest N that spends a KL, as far as these samples show it.
function bestOfN(kl) {
  const { most: shown, sizes } = grid.bestOfN;
  const enough = kl * (1 - 1e-9);
  const most = sizes ? shown : 1e9;
  if (kl === 0) return "N = 1";
  if (spends(most) < enough) return `N > ${most.toLocaleString("en-US")}`;
  let [low, high] = [1, most];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (spends(middle) < enough) low = middle;
    else high = middle;
  }
  return high === 2 && spends(2) > 1.5 * kl ? "N < 2" : `N = ${high.toLocaleString("en-US")}`;
}

function readAt(kl) {
  const trusted = grid.edge === null || kl <= grid.edge;
  const [gain, low, high] = ["gain", "low", "high"].map((name) => between(name, kl));
  return { kl, trusted, gain, low, high, beta: trusted ? between("beta", kl) : null, needed: needed(kl) };
}

function sayMean(at) {
  if (!at.trusted || !known(at.gain)) return "beyond what these samples show";
  const digits = places(at.gain, at.low, at.high);
  const scale = 10 ** digits;
  const before = Math.round(data.base * scale) / scale;
  const added = Math.round(at.gain * scale) / scale;
  return `mean ${fixed(before, digits)} to ${fixed(before + added, digits)}`;
}

function sayTrust(at) {
  if (at.trusted) return "trusted at this KL";
  return grid.edge > 0 ? `trusted up to ${natsDown(grid.edge)}` : "no KL is trusted yet";
}

function sayNeeded(at) {
  if (at.trusted) return "enough";
  if (at.needed === 0) return "none would do";
  if (!known(at.needed) || at.needed > 1e6) return "over a million";
  return `about ${at.needed.toLocaleString("en-US")}`;
}

function show(kl) {
  const at = readAt(kl);
  const gain = plain(at.gain, at.low, at.high, at.trusted);
  const put = (id, text) => { document.getElementById(id).textContent = text; };
  put("at-gain", gain);
  put("at-mean", sayMean(at));
  put("at-beta", known(at.beta) ? short(at.beta) : "-");
  put("at-n", bestOfN(kl));
  put("at-needed", sayNeeded(at));
  put("at-trust", sayTrust(at));
  range.setAttribute("aria-valuetext", `${nats(kl)}: gain ${gain}`);
  for (const chart of charts) move(chart, at);
  showBounds(kl);
}

// Charts carry their scales: the marker is placed as the frontier was.
function move(chart, at) {
  const { left, right, bottom, top, low, high, most, root } = chart.scale;
  const share = Math.min(at.kl / most, 1);
  const x = left + (root ? Math.sqrt(share) : share) * (right - left);
  const value = at.trusted && known(at.gain) ? at.gain : at.low;
  const y = bottom + ((value - low) / (high - low)) * (top - bottom);
  chart.marker.setAttribute("transform", `translate(${x.toFixed(1)},0)`);
  chart.here.setAttribute("cx", x.toFixed(1));
  chart.here.setAttribute("cy", Math.max(Math.min(y, bottom), top).toFixed(1));
}

function showBounds(kl) {
  const { kl: nodes, rows } = grid.bounds;
  const exact = between("gain", kl);
  const shown = known(exact) && nodes.length > 1 && kl >= nodes[0] && kl <= nodes[nodes.length - 1];
  document.getElementById("bounds").hidden = !shown;
  if (!shown) return;
  document.getElementById("bounds-kl").textContent = nats(kl);
  const cells = rows.map((row, place) => {
    const value = place === 0 ? exact : between("", kl, nodes, row.value);
    return [row.name, value, value / exact, row.source];
  }).sort((a, b) => a[1] - b[1]);
  document.getElementById("bounds-rows").replaceChildren(...cells.map(([name, value, over, source]) => make("tr", {},
    make("th", { scope: "row", textContent: name }),
    make("td", { textContent: Number(value.toPrecision(3)) }),
    make("td", { textContent: `${over.toFixed(2)} times` }),
    make("td", { textContent: source }))));
}

let charts = [];
let range;

function startBudget() {
  range = document.getElementById("kl");
  const number = document.getElementById("kl-number");
  charts = [...document.querySelectorAll("svg[data-control]")].map((svg) => ({
    svg,
    marker: svg.querySelector(".marker"),
    here: svg.querySelector(".here"),
    scale: Object.fromEntries(Object.entries(svg.dataset).map(([name, value]) => [name, Number(value)])),
  }));
  const { most, root } = charts[0].scale;
  const quantum = 10 ** (Math.floor(Math.log10(most)) - 2);
  const steps = root ? 1000 : Math.round(most / quantum);
  range.max = String(steps);
  const round = (kl) => Number((Math.round(kl / quantum) * quantum).toPrecision(12));
  const klAt = (position) => {
    const share = position / steps;
    if (!root) return round(share * most);
    const kl = share * share * most;
    return kl > quantum * 100 ? round(kl) : Number(kl.toPrecision(2));
  };
  const positionOf = (kl) => steps * (root ? Math.sqrt(kl / most) : kl / most);
  const to = (kl) => {
    const held = Math.min(Math.max(kl, 0), most);
    range.value = String(Math.round(positionOf(held)));
    show(held);
    return held;
  };
  const typed = (kl) => { number.value = String(Number(kl.toPrecision(4))); };

  range.addEventListener("input", () => {
    const kl = klAt(Number(range.value));
    typed(kl);
    show(kl);
  });
  number.addEventListener("input", () => { if (number.value !== "" && Number(number.value) >= 0) to(Number(number.value)); });
  number.addEventListener("change", () => typed(to(Number(number.value) || 0)));
  for (const { svg, scale } of charts) {
    const point = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const share = Math.min(Math.max((x - scale.left) / (scale.right - scale.left), 0), 1);
      const kl = klAt(share * steps);
      typed(kl);
      to(kl);
    };
    svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); point(event); });
    svg.addEventListener("pointermove", (event) => { if (event.buttons === 1) point(event); });
  }
  typed(to(data.focus));
}

if (grid) startBudget();
