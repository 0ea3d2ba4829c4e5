// The entry of the console: /main.js of index.html. It draws the shell into #app.

import "./main.css";

import { render } from "preact";

import { Shell } from "./shell";

const target = document.getElementById("app");
if (target !== null) render(<Shell />, target);
