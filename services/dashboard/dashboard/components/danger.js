// Entries keep their elements from second to second, so that no word in a form is lost.
const STAFF = "deloton-staff-name";
const SOUND = "deloton-danger-sound";

export default function ({ data, parentElement, setTriggerValue }) {
  const desk = parentElement.querySelector(".desk");
  const list = desk.querySelector("ul");
  const { entries, announcement, old } = data;
  desk.hidden = entries.length === 0;
  desk.classList.toggle("old", old);
  desk.querySelector("strong").textContent =
    `${entries.length} in danger` + (old ? ", as last known: the database is away" : "");
  const spoken = parentElement.querySelector(".spoken");
  if (spoken.textContent !== announcement) spoken.textContent = announcement;
  countInTitle(entries.length);
  const sound = desk.querySelector(".sound");
  sound.setAttribute("aria-pressed", localStorage.getItem(SOUND) === "on");
  sound.onclick = () => {
    const on = localStorage.getItem(SOUND) !== "on";
    localStorage.setItem(SOUND, on ? "on" : "off");
    sound.setAttribute("aria-pressed", on);
    if (on) beep();
  };
  const gone = new Map([...list.children].map((item) => [item.dataset.alert, item]));
  let isNew = false;
  entries.forEach(({ alert, colour, seen, html }, place) => {
    isNew ||= !gone.has(alert);
    const item = gone.get(alert) ?? newItem(alert);
    gone.delete(alert);
    item.style.setProperty("--colour", colour);
    const what = item.querySelector(".what");
    if (what.innerHTML !== html && !what.matches(":active, :focus-within")) what.innerHTML = html;
    item.querySelector("summary").textContent = seen ? "Add a note" : "I see to it";
    item.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      const { name, note } = event.target.elements;
      localStorage.setItem(STAFF, name.value);
      setTriggerValue("seen", { alert, name: name.value, note: note.value });
      note.value = "";
      item.querySelector("details").open = false;
    };
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  gone.forEach((item) => item.remove());
  if (isNew && !old && localStorage.getItem(SOUND) === "on") beep();
}

function newItem(alert) {
  const item = document.createElement("li");
  item.dataset.alert = alert;
  item.innerHTML = `<div class="what"></div><details><summary></summary><form>
    <input name="name" aria-label="Your name" placeholder="Your name" required maxlength="60"
      pattern=".*\\S.*" autocomplete="name">
    <input name="note" aria-label="Note" placeholder="What you do (may stay empty)" maxlength="500">
    <button>Tell the others</button></form></details>`;
  item.querySelector("[name=name]").value = localStorage.getItem(STAFF) ?? "";
  return item;
}

function countInTitle(count) {
  const plain = document.title.replace(/^\(\d+\) /, "");
  const title = count ? `(${count}) ${plain}` : plain;
  if (document.title !== title) document.title = title;
}

// Browsers let a page sound once somebody has clicked in it.
function beep() {
  const context = new AudioContext();
  const [tone, volume] = [context.createOscillator(), context.createGain()];
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.25, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.6);
  tone.connect(volume).connect(context.destination);
  tone.onended = () => context.close();
  tone.start();
  tone.stop(context.currentTime + 0.6);
}
