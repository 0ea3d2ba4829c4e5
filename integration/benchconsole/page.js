"use strict";
// What is there before the scripts of a page: it says when something was drawn. Times are in
// milliseconds since the page was asked for. browser.go puts it into each page.
window.bench = {
	tasks: [],
	drawn() { // the next frame has what is in the document now
		return new Promise((done) => requestAnimationFrame(() => {
			const after = new MessageChannel();
			after.port1.onmessage = () => done(performance.now());
			after.port2.postMessage(0);
		}));
	},
	once(is) { // when something is there for the first time, and drawn
		return new Promise((done) => {
			const look = () => {
				if (!is()) return false;
				watch.disconnect();
				bench.drawn().then(done);
				return true;
			};
			const watch = new MutationObserver(look);
			if (!look()) watch.observe(document, {subtree: true, childList: true, attributes: true,
				characterData: true});
		});
	},
	answered(path) { // when the last answer of a path was there
		return Math.max(0, ...performance.getEntriesByType("resource")
			.filter((e) => new URL(e.name).pathname === path).map((e) => e.responseEnd));
	},
	bytes(ours) { // that came for the page and its files, or for all else
		return [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
			.filter((e) => (e.entryType === "navigation" || e.name.includes("/assets/")) === ours)
			.reduce((n, e) => n + e.encodedBodySize, 0);
	},
	longest(from) { // the longest task of the main thread that ended later
		return Math.max(0, ...bench.tasks.filter(([at, took]) => at + took > from).map(([, took]) => took));
	},
	keys: [],
	hasBox(name) {
		return [...document.querySelectorAll("svg.picture .box > title")]
			.some((t) => t.textContent.includes(" " + name + ":"));
	},
	isKnown() { // the matrix where one looks
		const box = document.querySelector(".matrix"), seen = box?.getBoundingClientRect();
		const cells = [...box?.querySelectorAll(".matrix-cell") ?? []].filter((c) => {
			const r = c.getBoundingClientRect();
			return r.bottom > seen.top && r.top < seen.bottom && r.right > seen.left && r.left < seen.right;
		});
		return cells.length > 20 && cells.every((c) => !c.classList.contains("unknown"));
	},
	jump(part) {
		const box = document.querySelector(".matrix"), from = performance.now();
		box.scrollTo(box.scrollWidth * part, box.scrollHeight * part);
		return bench.drawn().then(() => bench.once(bench.isKnown)).then((at) => at - from);
	},
};
// Whatever page it is: when its first rows are drawn, and when its picture is.
bench.rows = bench.once(() => document.querySelector("main tbody tr"));
bench.picture = bench.once(() => document.querySelector("svg.picture .box"));
addEventListener("input", (e) => { bench.written = e.timeStamp; }, true);
new PerformanceObserver((list) => {
	for (const e of list.getEntries()) bench.tasks.push([e.startTime, e.duration]);
}).observe({type: "longtask", buffered: true});
addEventListener("keydown", (e) => {
	const from = e.timeStamp;
	bench.drawn().then((at) => bench.keys.push(at - from));
}, true);
