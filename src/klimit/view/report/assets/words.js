"use strict";
// Numbers as people say them: the same rules as klimit/view/words.py, so that page and terminal agree.

const data = JSON.parse(document.getElementById("data").textContent);
const known = (x) => x !== null && x !== undefined && Number.isFinite(x);

function decimals(width) {
  return known(width) && width > 0 ? Math.max(1 - Math.floor(Math.log10(width)), 0) : 2;
}

// Decimals that show two digits of the interval's width, and no more than four of the value.
function places(value, low, high) {
  const size = Math.abs(known(value) ? value : low);
  const width = known(high) && known(low) ? high - low : size;
  if (!(size > 0)) return decimals(width);
  const most = Math.max(3 - Math.floor(Math.log10(size)), 0);
  return width > 0 ? Math.min(decimals(width), most) : most;
}

// A bound in so many decimals, rounded down, or up.
function outward(value, digits, up = false) {
  const unit = 10 ** -digits;
  const steps = Number((value / unit).toFixed(9));
  return (up ? Math.ceil(steps) : Math.floor(steps)) * unit;
}

function fixed(value, digits) {
  if (digits > 6) return String(Number(value.toPrecision(3)));
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return Number(text.replaceAll(",", "")) === 0 ? (0).toFixed(digits) : text;
}

// Two significant digits, whole numbers in full.
function short(value) {
  if (value === 0 || Math.abs(value) >= 10) return Math.round(value).toLocaleString("en-US");
  const text = value.toPrecision(2);
  return text.includes("e") ? String(Number(text)) : text;
}

function nats(kl) {
  const text = String(Number(kl.toPrecision(3)));
  return text === "1" ? "1 nat" : `${text} nats`;
}

// An end that must not be overstated: two digits, rounded down.
function natsDown(kl) {
  return nats(outward(kl, 1 - Math.floor(Math.log10(kl))));
}

// A gain with its interval; only what is sure where it is not trusted.
function plain(value, low, high, trusted) {
  const digits = places(value, low, high);
  const shown = low > 0 ? Math.max(digits, decimals(low) - 1) : digits; // a bound above 0 shows a digit
  const bound = known(low) ? fixed(outward(low, shown), shown) : "";
  if (!known(high)) {
    if (trusted && known(value)) return `about ${fixed(value, digits)}`;
    return known(low) && low > 0 ? `at least ${bound}` : "not known";
  }
  if (!trusted) return `between ${bound} and ${fixed(outward(high, digits, true), digits)}`;
  if (low === high && high === 0) return "0";
  return `${fixed(value, digits)} [${fixed(low, digits)}, ${fixed(high, digits)}]`;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
