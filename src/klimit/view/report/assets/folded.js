// What is folded opens where a link leads to it, and all of it on paper, where nobody can open it.

const folded = [...document.querySelectorAll("details")];
let shut = [];

for (const link of document.querySelectorAll("a[href='#words']")) {
  link.addEventListener("click", () => { document.getElementById("words").open = true; });
}
addEventListener("beforeprint", () => {
  shut = folded.filter((one) => !one.open);
  for (const one of shut) one.open = true;
});
addEventListener("afterprint", () => { for (const one of shut) one.open = false; });
