"use strict";
(() => {
  const moments = [...document.querySelectorAll(".moment")];
  if (!moments.length) return;
  const $ = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let at = -1; // -1: everything is shown
  let timer = 0;
  $("player").hidden = false;
  $("place").max = String(moments.length - 1);

  const show = (to, focus) => {
    at = Math.max(-1, Math.min(moments.length - 1, to));
    moments.forEach((one, n) => {
      one.classList.toggle("later", at >= 0 && n > at);
      one.classList.toggle("now", n === at);
    });
    document.querySelectorAll(".timeline .now").forEach((one) => one.classList.remove("now"));
    if (at < 0) {
      $("where").value = `${moments.length} moments: Play steps through them, or read on`;
      return;
    }
    const one = moments[at];
    const bar = document.querySelector(`.timeline a[href="#${one.id}"] rect`);
    if (bar) bar.classList.add("now");
    $("place").value = String(at);
    $("where").value = `${at + 1} of ${moments.length}: ${one.querySelector("h4").innerText.replace(/\s+/g, " ").slice(0, 120)}`;
    one.scrollIntoView({ block: focus ? "start" : "nearest", behavior: calm.matches ? "auto" : "smooth" });
    if (focus) one.focus({ preventScroll: true });
  };
  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    $("play").textContent = "Play";
  };
  const tick = () => {
    if (at >= moments.length - 1) return stop();
    const pause = Number(moments[at + 1].dataset.pause) / Number($("speed").value);
    timer = setTimeout(() => { show(at + 1); tick(); }, Math.max(60, pause));
  };
  const play = () => {
    if (timer) return stop();
    if (at >= moments.length - 1) show(-1);
    if (at < 0) show(0);
    $("play").textContent = "Pause";
    tick();
  };
  const step = (by) => { stop(); show(at < 0 ? 0 : Math.max(0, at + by)); };
  const fail = () => {
    stop();
    const found = moments.findIndex((one, n) => n > at && one.classList.contains("bad"));
    const first = moments.findIndex((one) => one.classList.contains("bad"));
    if (first < 0) $("where").value = "no call failed";
    else show(found < 0 ? first : found, true);
  };
  const all = () => {
    const here = moments[at];
    stop();
    show(-1);
    if (here) here.scrollIntoView({ block: "center" });
  };

  show(-1);
  $("back").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("play").onclick = play;
  $("fail").onclick = fail;
  $("all").onclick = all;
  $("place").oninput = () => { stop(); show(Number($("place").value)); };
  addEventListener("hashchange", () => {
    const found = moments.findIndex((one) => `#${one.id}` === location.hash);
    if (at >= 0 && found > at) { stop(); show(found); moments[found].scrollIntoView({ block: "center" }); }
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input, select, button, summary, a");
    if (field && (event.key === " " || event.key === "Enter" || field.matches("input, select"))) return;
    const act = { " ": play, ArrowRight: () => step(1), ArrowLeft: () => step(-1), f: fail, Escape: all,
      Home: () => at >= 0 && step(-moments.length), End: () => at >= 0 && step(moments.length) }[event.key];
    if (!act) return;
    if (!((event.key === "Home" || event.key === "End") && at < 0)) event.preventDefault();
    act();
  });
})();
