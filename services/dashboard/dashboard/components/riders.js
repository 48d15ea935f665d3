// Cards keep their elements from second to second, so that no focus and no click is lost.
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".riders");
  if (grid.querySelector(".card:active")) return; // nothing moves away under a finger
  const gone = new Map([...grid.children].map((card) => [card.dataset.ride, card]));
  data.forEach(({ ride, colour, classes, chosen, html }, place) => {
    const card = gone.get(ride) ?? document.createElement("button");
    gone.delete(ride);
    card.dataset.ride = ride;
    card.className = classes;
    card.style.setProperty("--colour", colour);
    card.setAttribute("aria-pressed", chosen);
    card.innerHTML = html;
    card.onclick = () => setTriggerValue("ride", ride);
    if (grid.children[place] !== card) grid.insertBefore(card, grid.children[place] ?? null);
  });
  gone.forEach((card) => card.remove());
}
