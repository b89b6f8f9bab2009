-- Sample geometry of the city of Chaoyang, Liaoning: seven divisions and six haul routes.  DRAWN, NOT SURVEYED.
--
-- The codes and names are real (GB/T 2260).  The shapes are not: a plausible tiling and plausible roads, for
-- tests, demonstrations and the simulator.  is_sample = true marks every row; load surveyed geometry under the
-- same ids with is_sample = false, and this file will not touch it any more.  Safe to run any number of times.
--
-- This file is also the one source of the simulator's roads, which reads it without a database.  So each route
-- stands on one line of this form, points as degrees WGS-84, width on either side of the line in metres:
--   (id, 'name', 'name_en', 'commodity', 'LINESTRING(lon lat, lon lat, ...)', half_width_m)
-- with nothing before the bracket but blanks, no quote inside a text, and a comma behind all but the last.
--
-- The divisions share their corner points exactly, so that they neither overlap nor leave a gap.  The county of
-- Chaoyang surrounds the two urban districts: it has a hole.

INSERT INTO division (id, name, name_en, area, is_sample)
SELECT id, name, name_en, ST_Multi(ST_GeomFromText(area, 4326)), true
FROM (VALUES
  (211302, '双塔区', 'Shuangta', 'POLYGON((120.40 41.44, 120.55 41.52, 120.58 41.66, 120.42 41.72, 120.43 41.58, 120.40 41.44))'),
  (211303, '龙城区', 'Longcheng', 'POLYGON((120.28 41.50, 120.40 41.44, 120.43 41.58, 120.42 41.72, 120.27 41.64, 120.28 41.50))'),
  (211321, '朝阳县', 'Chaoyang County', 'POLYGON((120.10 41.20, 120.45 41.00, 120.72 41.30, 120.70 41.58, 120.55 41.82, 120.20 42.05, 120.05 41.70, 119.85 41.42, 120.10 41.20), (120.28 41.50, 120.27 41.64, 120.42 41.72, 120.58 41.66, 120.55 41.52, 120.40 41.44, 120.28 41.50))'),
  (211322, '建平县', 'Jianping', 'POLYGON((119.25 41.55, 119.50 41.40, 119.85 41.42, 120.05 41.70, 120.20 42.05, 120.00 42.38, 119.30 42.25, 119.10 41.85, 119.25 41.55))'),
  (211324, '喀喇沁左翼蒙古族自治县', 'Kazuo', 'POLYGON((119.45 40.58, 120.00 40.80, 120.10 41.20, 119.85 41.42, 119.50 41.40, 119.55 41.00, 119.45 40.58))'),
  (211381, '北票市', 'Beipiao', 'POLYGON((120.72 41.30, 121.00 41.45, 120.98 41.95, 120.75 42.15, 120.20 42.05, 120.55 41.82, 120.70 41.58, 120.72 41.30))'),
  (211382, '凌源市', 'Lingyuan', 'POLYGON((118.90 41.30, 119.05 40.72, 119.45 40.58, 119.55 41.00, 119.50 41.40, 119.25 41.55, 118.90 41.30))')
) AS sample (id, name, name_en, area)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, name_en = excluded.name_en, area = excluded.area
WHERE division.is_sample;

-- Routes 2 and 3 share their way from Yebaishou to the Lingyuan steel works, 5 and 6 cross in Kazuo.
INSERT INTO haul_route (id, name, name_en, commodity, line, half_width_m, corridor, is_sample)
SELECT id, name, name_en, commodity, ST_GeomFromText(line, 4326), half_width_m,
       ST_Multi(ST_Buffer(ST_GeomFromText(line, 4326)::geography, half_width_m)::geometry), true
FROM (VALUES
  (1, '北票—双塔运煤线', 'Beipiao to Shuangta, coal', 'coal', 'LINESTRING(120.850 41.870, 120.822 41.846, 120.781 41.824, 120.752 41.795, 120.706 41.772, 120.668 41.741, 120.633 41.718, 120.598 41.690, 120.561 41.652, 120.523 41.624, 120.488 41.601, 120.455 41.575)', 300),
  (2, '建平—凌源焦炭线', 'Jianping to Lingyuan, coke', 'coke', 'LINESTRING(119.905 41.590, 119.862 41.561, 119.811 41.538, 119.760 41.502, 119.712 41.468, 119.655 41.438, 119.601 41.415, 119.552 41.402, 119.512 41.371, 119.478 41.332, 119.446 41.289, 119.405 41.247)', 250),
  (3, '建平北—凌源铁矿石线', 'North Jianping to Lingyuan, ore', 'ore', 'LINESTRING(119.735 41.872, 119.722 41.811, 119.748 41.752, 119.731 41.688, 119.702 41.625, 119.711 41.560, 119.688 41.498, 119.655 41.438, 119.601 41.415, 119.552 41.402, 119.512 41.371, 119.478 41.332, 119.446 41.289, 119.405 41.247)', 300),
  (4, '北票北—龙城铁矿石线', 'North Beipiao to Longcheng, ore', 'ore', 'LINESTRING(120.862 42.021, 120.811 41.985, 120.755 41.951, 120.692 41.922, 120.631 41.889, 120.575 41.851, 120.521 41.805, 120.468 41.768, 120.418 41.738, 120.377 41.701, 120.352 41.655, 120.341 41.602)', 400),
  (5, '喀左—龙城运煤线', 'Kazuo to Longcheng, coal', 'coal', 'LINESTRING(119.742 41.128, 119.798 41.152, 119.851 41.188, 119.902 41.231, 119.948 41.279, 120.002 41.312, 120.061 41.345, 120.118 41.382, 120.172 41.421, 120.228 41.462, 120.281 41.508, 120.334 41.541, 120.385 41.556)', 350),
  (6, '凌源—喀左—锦州方向综合货运线', 'Lingyuan to Kazuo and on to Jinzhou, mixed', 'mixed', 'LINESTRING(119.352 41.212, 119.405 41.198, 119.458 41.188, 119.512 41.171, 119.569 41.158, 119.628 41.149, 119.688 41.137, 119.742 41.128, 119.791 41.092, 119.838 41.051, 119.881 41.008, 119.925 40.962, 119.968 40.921)', 500)
) AS sample (id, name, name_en, commodity, line, half_width_m)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, name_en = excluded.name_en, commodity = excluded.commodity, line = excluded.line,
    half_width_m = excluded.half_width_m, corridor = excluded.corridor
WHERE haul_route.is_sample;
