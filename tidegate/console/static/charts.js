// @ts-check
import { Charts } from "./chart.js";
import { follow } from "./live.js";

const charts = new Charts(document);
follow(`/${document.body.dataset.page}/live${location.search}`, (update) => charts.show(update.chart));
