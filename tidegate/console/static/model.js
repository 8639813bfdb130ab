// @ts-check
import { Charts } from "./chart.js";
import { follow } from "./live.js";

const charts = new Charts(document);
follow(`/model/live${location.search}`, (update) => charts.show(update.chart));
