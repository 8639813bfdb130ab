// @ts-check
import "./live.js";
import "./copy.js";
