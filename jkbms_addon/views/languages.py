# ruff: noqa: E501 - a table
"""Names of entities in the languages of the option ``language``; what is not here stays English. Pure.

Home Assistant translates no names that come by MQTT, so they are set when a device is announced. Ids stay English.
20 characters, as in English; OVP, UVP, OCP, SCP, OTP, UTP are what the vendor's application calls them everywhere.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, get_args

Language = Literal["en", "de", "fr", "es", "it", "nl", "pl", "pt"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

_TABLE: Final = """
Total voltage|Gesamtspannung|Tension totale|Tensión total|Tensione totale|Totale spanning|Napięcie łączne|Tensão total
Voltage|Spannung|Tension|Tensión|Tensione|Spanning|Napięcie|Tensão
Current|Strom|Courant|Corriente|Corrente|Stroom|Prąd|Corrente
Power|Leistung|Puissance|Potencia|Potenza|Vermogen|Moc|Potência
Charging power|Ladeleistung|Puissance de charge|Potencia de carga|Potenza di carica|Laadvermogen|Moc ładowania|Potência de carga
Discharging power|Entladeleistung|Puissance décharge|Potencia descarga|Potenza di scarica|Ontlaadvermogen|Moc rozładowania|Potência descarga
State of charge|Ladezustand|État de charge|Estado de carga|Stato di carica|Laadtoestand|Stan naładowania|Estado de carga
State of health|Gesundheit|État de santé|Estado de salud|Stato di salute|Gezondheid|Stan zdrowia|Estado de saúde
Capacity remaining|Restkapazität|Capacité restante|Capacidad restante|Capacità residua|Resterende capac.|Pozostała pojemność|Capacidade restante
Full charge capacity|Volle Kapazität|Capacité pleine|Capacidad plena|Capacità piena|Volle capaciteit|Pełna pojemność|Capacidade plena
Charging cycles|Ladezyklen|Cycles de charge|Ciclos de carga|Cicli di carica|Laadcycli|Cykle ładowania|Ciclos de carga
Ah charged in total|Ah geladen gesamt|Ah chargés au total|Ah cargados en total|Ah caricati totali|Ah geladen totaal|Ah naładowane razem|Ah carregados total
Total runtime|Laufzeit gesamt|Durée totale|Tiempo total|Tempo totale|Totale looptijd|Czas łączny|Tempo total
Running for|Läuft seit|En marche depuis|En marcha desde|In funzione da|Draait sinds|Działa od|Em marcha há
Cell voltage|Zellspannung|Tension cellule|Tensión celda|Tensione cella|Celspanning|Napięcie ogniwa|Tensão célula
Cell resistance|Zellwiderstand|Résist. cellule|Resist. celda|Resist. cella|Celweerstand|Opór ogniwa|Resist. célula
Min cell voltage|Min. Zellspannung|Tension cell. min|Tensión celda mín|Tensione cella min|Min. celspanning|Min. nap. ogniwa|Tensão célula mín
Max cell voltage|Max. Zellspannung|Tension cell. max|Tensión celda máx|Tensione cella max|Max. celspanning|Maks. nap. ogniwa|Tensão célula máx
Average cell voltage|Mittl. Zellspannung|Tension cell. moy.|Tensión celda media|Tensione cella med.|Gem. celspanning|Śr. nap. ogniwa|Tensão célula média
Delta cell voltage|Zelldifferenz|Écart des cellules|Diferencia celdas|Differenza celle|Celverschil|Różnica ogniw|Diferença células
Lowest cell|Niedrigste Zelle|Cellule basse|Celda más baja|Cella più bassa|Laagste cel|Najniższe ogniwo|Célula mais baixa
Highest cell|Höchste Zelle|Cellule haute|Celda más alta|Cella più alta|Hoogste cel|Najwyższe ogniwo|Célula mais alta
MOSFET temperature|MOSFET-Temperatur|Température MOSFET|Temperatura MOSFET|Temperatura MOSFET|MOSFET-temperatuur|Temperatura MOSFET|Temperatura MOSFET
Temperature|Temperatur|Température|Temperatura|Temperatura|Temperatuur|Temperatura|Temperatura
Min temperature|Min. Temperatur|Température min|Temperatura mín|Temperatura min|Min. temperatuur|Min. temperatura|Temperatura mín
Max temperature|Max. Temperatur|Température max|Temperatura máx|Temperatura max|Max. temperatuur|Maks. temperatura|Temperatura máx
Min cell temperature|Min. Zelltemp.|Temp. cellule min|Temp. celda mín|Temp. cella min|Min. celtemp.|Min. temp. ogniwa|Temp. célula mín
Max cell temperature|Max. Zelltemp.|Temp. cellule max|Temp. celda máx|Temp. cella max|Max. celtemp.|Maks. temp. ogniwa|Temp. célula máx
Avg cell temperature|Mittl. Zelltemp.|Temp. cellule moy.|Temp. celda media|Temp. cella media|Gem. celtemp.|Śr. temp. ogniwa|Temp. célula média
Sensor count|Anzahl Fühler|Nombre de sondes|Número de sondas|Numero di sonde|Aantal sensoren|Liczba czujników|Número de sondas
Balancing|Balanciert|Équilibrage actif|Balanceando|Bilanciamento|Balanceert|Balansowanie|A balancear
Balancing current|Balancierstrom|Courant équilibrage|Corriente balanceo|Corr. bilanciamento|Balanceerstroom|Prąd balansowania|Corrente balanceam.
Charge MOSFET|Lade-MOSFET|MOSFET charge|MOSFET carga|MOSFET carica|Laad-MOSFET|MOSFET ładowania|MOSFET carga
Discharge MOSFET|Entlade-MOSFET|MOSFET décharge|MOSFET descarga|MOSFET scarica|Ontlaad-MOSFET|MOSFET rozładow.|MOSFET descarga
Precharging|Vorladen|Précharge|Precarga|Precarica|Voorladen|Ładowanie wstępne|Pré-carga
Heating|Heizt|Chauffage actif|Calentando|Riscaldamento|Verwarmt|Ogrzewanie|A aquecer
Heating current|Heizstrom|Courant chauffage|Corriente calefac.|Corrente riscald.|Verwarmingsstroom|Prąd ogrzewania|Corrente aquecim.
Operation mode|Betriebsart|Mode de marche|Modo de operación|Modo operativo|Bedrijfsmodus|Tryb pracy|Modo de operação
Charge status|Ladephase|Phase de charge|Fase de carga|Fase di carica|Laadfase|Faza ładowania|Fase de carga
Charge status time|Zeit in Ladephase|Durée de la phase|Tiempo en fase|Tempo nella fase|Tijd in laadfase|Czas fazy|Tempo na fase
Emergency countdown|Notstart noch|Urgence restante|Emergencia restante|Emergenza residua|Noodstart nog|Awaryjnie jeszcze|Emergência restante
Sleep countdown|Schlaf in|Veille dans|Suspensión en|Riposo tra|Slaap over|Uśpienie za|Suspensão em
Log entries|Protokolleinträge|Entrées du journal|Entradas registro|Voci di registro|Logregels|Wpisy dziennika|Entradas registo
Dry contact|Kontakt|Contact sec|Contacto seco|Contatto pulito|Contact|Styk|Contacto seco
Charger plugged|Lader gesteckt|Chargeur branché|Cargador conectado|Caricatore inserito|Lader aangesloten|Ładowarka podłącz.|Carregador ligado
Voltage requested|Spannung gefordert|Tension demandée|Tensión pedida|Tensione richiesta|Spanning gevraagd|Żądane napięcie|Tensão pedida
Current requested|Strom gefordert|Courant demandé|Corriente pedida|Corrente richiesta|Stroom gevraagd|Żądany prąd|Corrente pedida
Charger requested|Lader gefordert|Chargeur demandé|Cargador pedido|Caric. richiesto|Lader gevraagd|Żądana ładowarka|Carregador pedido
Smart sleep voltage|Schlaf-Spannung|Tension de veille|Tensión suspensión|Tensione riposo|Slaapspanning|Napięcie uśpienia|Tensão suspensão
UVP cell|UVP Zelle|UVP cellule|UVP celda|UVP cella|UVP cel|UVP ogniwa|UVP célula
UVP recovery cell|UVP Rückkehr Zelle|UVP retour cellule|UVP retorno celda|UVP ripristino cella|UVP herstel cel|UVP powrót ogniwa|UVP retorno célula
OVP cell|OVP Zelle|OVP cellule|OVP celda|OVP cella|OVP cel|OVP ogniwa|OVP célula
OVP recovery cell|OVP Rückkehr Zelle|OVP retour cellule|OVP retorno celda|OVP ripristino cella|OVP herstel cel|OVP powrót ogniwa|OVP retorno célula
Balance trigger|Balancieren ab Diff.|Équil. dès écart|Balanceo desde dif.|Bilanc. da diff.|Balans vanaf versch.|Balans od różnicy|Balanço desde dif.
Balance start|Balancieren ab|Équilibrage dès|Balanceo desde|Bilanciamento da|Balans vanaf|Balans od napięcia|Balanceam. desde
SOC 100 % voltage|SOC 100 % Spannung|SOC 100 % tension|SOC 100 % tensión|SOC 100 % tensione|SOC 100 % spanning|SOC 100 % napięcie|SOC 100 % tensão
SOC 0 % voltage|SOC 0 % Spannung|SOC 0 % tension|SOC 0 % tensión|SOC 0 % tensione|SOC 0 % spanning|SOC 0 % napięcie|SOC 0 % tensão
Charge voltage cell|Ladespannung Zelle|Tension charge cell.|Tensión carga celda|Tens. carica cella|Laadspanning cel|Nap. ładow. ogniwa|Tensão carga célula
Float voltage cell|Erhaltungssp. Zelle|Tension float cell.|Tensión flot. celda|Tens. mant. cella|Druppelspanning cel|Nap. podtrz. ogniwa|Tensão flut. célula
Charge voltage time|Ladespannung Zeit|Durée tens. charge|Tiempo tens. carga|Tempo tens. carica|Laadspanning tijd|Czas nap. ładowania|Tempo tensão carga
Float voltage time|Erhaltungssp. Zeit|Durée tens. float|Tiempo tens. flot.|Tempo tens. mant.|Druppelspann. tijd|Czas nap. podtrz.|Tempo tensão flut.
Power off voltage|Abschaltspannung|Tension d'arrêt|Tensión de apagado|Tensione spegnim.|Uitschakelspanning|Nap. wyłączenia|Tensão desligar
Charge OCP|OCP Laden|OCP charge|OCP carga|OCP carica|OCP laden|OCP ładowania|OCP carga
Charge OCP delay|OCP Laden Verzög.|OCP charge délai|OCP carga retardo|OCP carica ritardo|OCP laden vertrag.|OCP ładow. zwłoka|OCP carga atraso
Charge OCP recovery|OCP Laden Rückkehr|OCP charge retour|OCP carga retorno|OCP carica ripr.|OCP laden herstel|OCP ładow. powrót|OCP carga retorno
Discharge OCP|OCP Entladen|OCP décharge|OCP descarga|OCP scarica|OCP ontladen|OCP rozładowania|OCP descarga
Discharge OCP delay|OCP Entl. Verzög.|OCP décharge délai|OCP desc. retardo|OCP scarica ritardo|OCP ontl. vertrag.|OCP rozł. zwłoka|OCP desc. atraso
Discharge OCP recov.|OCP Entl. Rückkehr|OCP décharge retour|OCP desc. retorno|OCP scarica ripr.|OCP ontl. herstel|OCP rozł. powrót|OCP desc. retorno
SCP delay|SCP Verzögerung|SCP délai|SCP retardo|SCP ritardo|SCP vertraging|SCP zwłoka|SCP atraso
SCP recovery|SCP Rückkehr|SCP retour|SCP retorno|SCP ripristino|SCP herstel|SCP powrót|SCP retorno
Max balance current|Max. Balancierstrom|Courant équil. max|Corr. balanceo máx|Corr. bilanc. max|Max. balanceerstroom|Maks. prąd balans.|Corr. balanceam. máx
Charge OTP|OTP Laden|OTP charge|OTP carga|OTP carica|OTP laden|OTP ładowania|OTP carga
Charge OTP recovery|OTP Laden Rückkehr|OTP charge retour|OTP carga retorno|OTP carica ripr.|OTP laden herstel|OTP ładow. powrót|OTP carga retorno
Discharge OTP|OTP Entladen|OTP décharge|OTP descarga|OTP scarica|OTP ontladen|OTP rozładowania|OTP descarga
Discharge OTP recov.|OTP Entl. Rückkehr|OTP décharge retour|OTP desc. retorno|OTP scarica ripr.|OTP ontl. herstel|OTP rozł. powrót|OTP desc. retorno
Charge UTP|UTP Laden|UTP charge|UTP carga|UTP carica|UTP laden|UTP ładowania|UTP carga
Charge UTP recovery|UTP Laden Rückkehr|UTP charge retour|UTP carga retorno|UTP carica ripr.|UTP laden herstel|UTP ładow. powrót|UTP carga retorno
Discharge UTP|UTP Entladen|UTP décharge|UTP descarga|UTP scarica|UTP ontladen|UTP rozładowania|UTP descarga
Discharge UTP recov.|UTP Entl. Rückkehr|UTP décharge retour|UTP desc. retorno|UTP scarica ripr.|UTP ontl. herstel|UTP rozł. powrót|UTP desc. retorno
MOSFET OTP|OTP MOSFET|OTP MOSFET|OTP MOSFET|OTP MOSFET|OTP MOSFET|OTP MOSFET|OTP MOSFET
MOSFET OTP recovery|OTP MOSFET Rückkehr|OTP MOSFET retour|OTP MOSFET retorno|OTP MOSFET ripr.|OTP MOSFET herstel|OTP MOSFET powrót|OTP MOSFET retorno
Battery OTP|OTP Batterie|OTP batterie|OTP batería|OTP batteria|OTP accu|OTP baterii|OTP bateria
Battery OTP recovery|OTP Batt. Rückkehr|OTP batt. retour|OTP bat. retorno|OTP batt. ripr.|OTP accu herstel|OTP baterii powrót|OTP bat. retorno
OVP battery|OVP Batterie|OVP batterie|OVP batería|OVP batteria|OVP accu|OVP baterii|OVP bateria
UVP battery|UVP Batterie|UVP batterie|UVP batería|UVP batteria|UVP accu|UVP baterii|UVP bateria
OVP cell delay|OVP Zelle Verzög.|OVP cellule délai|OVP celda retardo|OVP cella ritardo|OVP cel vertraging|OVP ogniwa zwłoka|OVP célula atraso
UVP cell delay|UVP Zelle Verzög.|UVP cellule délai|UVP celda retardo|UVP cella ritardo|UVP cel vertraging|UVP ogniwa zwłoka|UVP célula atraso
Max cell difference|Max. Zelldifferenz|Écart cellules max|Dif. celdas máx|Differenza celle max|Max. celverschil|Maks. różnica ogniw|Dif. células máx
Max temp. difference|Max. Temp.differenz|Écart temp. max|Dif. temp. máx|Differenza temp. max|Max. temp.verschil|Maks. różnica temp.|Dif. temp. máx
Cell count|Zellenzahl|Nombre de cellules|Número de celdas|Numero di celle|Aantal cellen|Liczba ogniw|Número de células
Charging switch|Schalter Laden|Inter. charge|Interruptor carga|Interruttore carica|Schakelaar laden|Włącznik ładowania|Interruptor carga
Discharging switch|Schalter Entladen|Inter. décharge|Interr. descarga|Interruttore scarica|Schakelaar ontladen|Włącznik rozładow.|Interr. descarga
Balancing switch|Schalter Balancieren|Inter. équilibrage|Interr. balanceo|Interr. bilanciam.|Schakelaar balans|Włącznik balansu|Interr. balanceam.
Heating switch|Schalter Heizung|Inter. chauffage|Interr. calefacción|Interr. riscaldam.|Schakelaar verwarm.|Włącznik ogrzewania|Interr. aquecimento
Battery capacity|Batteriekapazität|Capacité batterie|Capacidad batería|Capacità batteria|Accucapaciteit|Pojemność baterii|Capacidade bateria
Actual capacity|Ist-Kapazität|Capacité réelle|Capacidad real|Capacità reale|Werkelijke capac.|Pojemność rzecz.|Capacidade real
Device address|Geräteadresse|Adresse appareil|Dirección|Indirizzo|Apparaatadres|Adres urządzenia|Endereço
Precharge time|Vorladezeit|Durée précharge|Tiempo de precarga|Tempo di precarica|Voorlaadtijd|Czas ład. wstępn.|Tempo de pré-carga
Display always on|Anzeige immer an|Écran toujours actif|Pantalla siempre on|Schermo sempre on|Scherm altijd aan|Ekran zawsze wł.|Ecrã sempre ligado
Smart sleep|Intelligenter Schlaf|Veille intelligente|Suspensión intel.|Riposo intelligente|Slimme slaap|Inteligentny sen|Suspensão intel.
Smart sleep delay|Schlaf nach|Veille après|Suspensión tras|Riposo dopo|Slaap na|Uśpienie po|Suspensão após
Timed stored data|Daten zeitgesteuert|Données périodiques|Datos periódicos|Dati periodici|Data periodiek|Dane okresowe|Dados periódicos
Float mode|Erhaltungsladung|Mode floating|Modo flotación|Modo mantenimento|Druppelladen|Tryb podtrzymania|Modo flutuação
GPS heartbeat|GPS-Herzschlag|Pouls GPS|Latido GPS|Battito GPS|GPS-hartslag|Puls GPS|Pulso GPS
Heating start|Heizen ab|Chauffage dès|Calefacción desde|Riscaldamento da|Verwarmen vanaf|Ogrzewanie od|Aquecimento desde
Heating stop|Heizen bis|Chauffage jusqu'à|Calefacción hasta|Riscaldamento fino a|Verwarmen tot|Ogrzewanie do|Aquecimento até
Current calibration|Stromabgleich|Étalonnage courant|Calibración corr.|Calibrazione corr.|Stroomkalibratie|Kalibracja prądu|Calibração corrente
Sleep wait time|Wartezeit Schlaf|Attente veille|Espera suspensión|Attesa riposo|Wachttijd slaap|Czas do uśpienia|Espera suspensão
Low SOC alarm|Alarm Ladezustand|Alarme SOC bas|Alarma SOC bajo|Allarme SOC basso|Alarm laag SOC|Alarm niskiego SOC|Alarme SOC baixo
Dedicated charger|Eigenes Ladegerät|Chargeur dédié|Cargador dedicado|Caric. dedicato|Eigen lader|Dedyk. ładowarka|Carregador dedicado
Model|Modell|Modèle|Modelo|Modello|Model|Model|Modelo
Hardware version|Hardware-Version|Version matérielle|Versión hardware|Versione hardware|Hardwareversie|Wersja sprzętu|Versão hardware
Software version|Software-Version|Version logicielle|Versión software|Versione software|Softwareversie|Wersja oprogram.|Versão software
Serial number|Seriennummer|Numéro de série|Número de serie|Numero di serie|Serienummer|Numer seryjny|Número de série
Device name|Gerätename|Nom de l'appareil|Nombre|Nome dispositivo|Apparaatnaam|Nazwa urządzenia|Nome
Manufacturing date|Herstellungsdatum|Date de fabrication|Fecha fabricación|Data di produzione|Productiedatum|Data produkcji|Data de fabrico
Manufacturer|Hersteller|Fabricant|Fabricante|Produttore|Fabrikant|Producent|Fabricante
Device type|Gerätetyp|Type d'appareil|Tipo|Tipo dispositivo|Apparaattype|Typ urządzenia|Tipo
Power on count|Einschaltungen|Mises en marche|Encendidos|Accensioni|Aantal starts|Liczba włączeń|Arranques
Battery type|Zellchemie|Type de batterie|Tipo de batería|Tipo di batteria|Accutype|Typ baterii|Tipo de bateria
Problem|Problem|Problème|Problema|Problema|Probleem|Problem|Problema
Errors|Fehler|Erreurs|Errores|Errori|Fouten|Błędy|Erros
Alarms|Alarme|Alarmes|Alarmas|Allarmi|Alarmen|Alarmy|Alarmes
Energy charged|Energie geladen|Énergie chargée|Energía cargada|Energia caricata|Energie geladen|Energia naładowana|Energia carregada
Energy discharged|Energie entladen|Énergie déchargée|Energía descargada|Energia scaricata|Energie ontladen|Energia oddana|Energia descarregada
Stored energy|Gespeich. Energie|Énergie stockée|Energía almacenada|Energia immagazz.|Opgeslagen energie|Energia zmagazyn.|Energia armazenada
Time to full|Zeit bis voll|Temps avant plein|Tiempo hasta llena|Tempo a piena|Tijd tot vol|Czas do pełna|Tempo até cheia
Time to empty|Zeit bis leer|Temps avant vide|Tiempo hasta vacía|Tempo a vuota|Tijd tot leeg|Czas do pustej|Tempo até vazia
Direction|Richtung|Sens|Sentido|Direzione|Richting|Kierunek|Sentido
Last full charge|Zuletzt voll|Dernière charge|Última carga plena|Ultima carica piena|Laatst vol|Ostatnio pełna|Última carga plena
Efficiency|Wirkungsgrad|Rendement|Rendimiento|Rendimento|Rendement|Sprawność|Rendimento
Full cycles counted|Vollzyklen gezählt|Cycles complets|Ciclos completos|Cicli completi|Volle cycli geteld|Pełne cykle|Ciclos completos
Connection|Verbindung|Connexion|Conexión|Connessione|Verbinding|Połączenie|Ligação
Health|Zustand|Santé liaison|Salud enlace|Salute collegamento|Toestand|Stan łącza|Saúde ligação
Link trouble|Störung der Leitung|Trouble de liaison|Fallo del enlace|Guasto collegamento|Storing verbinding|Kłopot z łączem|Falha da ligação
Last frame age|Alter der Daten|Âge des données|Edad de los datos|Età dei dati|Leeftijd gegevens|Wiek danych|Idade dos dados
Response latency|Antwortzeit|Temps de réponse|Tiempo respuesta|Tempo di risposta|Antwoordtijd|Czas odpowiedzi|Tempo de resposta
Frames|Telegramme|Trames|Tramas|Telegrammi|Frames|Ramki|Tramas
Failures|Fehlversuche|Échecs|Fallos|Fallimenti|Mislukt|Niepowodzenia|Falhas
Last change|Letzte Änderung|Dernier changement|Último cambio|Ultima modifica|Laatste wijziging|Ostatnia zmiana|Última alteração
Last write|Letztes Schreiben|Dernière écriture|Última escritura|Ultima scrittura|Laatst geschreven|Ostatni zapis|Última escrita
Any battery problem|Problem einer Batt.|Problème de batterie|Problema de batería|Problema batteria|Accuprobleem|Problem z baterią|Problema de bateria
Config problem|Problem Optionen|Problème config.|Problema config.|Problema config.|Configuratieprobl.|Problem konfig.|Problema config.
Config reason|Grund Optionen|Cause config.|Motivo config.|Motivo config.|Reden configuratie|Powód konfig.|Motivo config.
Same battery twice|Batterie doppelt|Batterie en double|Batería repetida|Batteria doppia|Accu dubbel|Bateria podwójnie|Bateria repetida
Worth a look|Einen Blick wert|À regarder|Para revisar|Da guardare|Aandachtspunten|Warto sprawdzić|A verificar
Things worth a look|Anzahl Hinweise|Points à regarder|Puntos a revisar|Punti da guardare|Aantal punten|Liczba uwag|Pontos a verificar
Writing|Schreiben|Écriture|Escritura|Scrittura|Schrijven|Zapis|Escrita
connected|verbunden|connecté|conectado|connesso|verbonden|połączony|ligado
problem|Problem|problème|problema|problema|probleem|problem|problema
reason|Grund|cause|motivo|motivo|reden|powód|motivo
quality|Qualität|qualité|calidad|qualità|kwaliteit|jakość|qualidade
Min cell voltage at|Min. Zelle bei|Cellule min à|Celda mín en|Cella min a|Min. cel bij|Min. ogniwo w|Célula mín em
Max cell voltage at|Max. Zelle bei|Cellule max à|Celda máx en|Cella max a|Max. cel bij|Maks. ogniwo w|Célula máx em
Min temperature at|Min. Temp. bei|Temp. min à|Temp. mín en|Temp. min a|Min. temp. bij|Min. temp. w|Temp. mín em
Max temperature at|Max. Temp. bei|Temp. max à|Temp. máx en|Temp. max a|Max. temp. bij|Maks. temp. w|Temp. máx em
Voltage spread|Spannungsdifferenz|Écart de tension|Diferencia tensión|Divario tensione|Spanningsverschil|Różnica napięć|Diferença tensão
Sharing error|Ungleiche Ströme|Inégalité courants|Reparto desigual|Ripartizione errata|Ongelijke stromen|Nierówne prądy|Partilha desigual
Share of pack|Anteil von Pack|Part du pack|Parte del pack|Quota del pacco|Aandeel pack|Udział pakietu|Parte do pack
Packs online|Packs verbunden|Packs en ligne|Packs en línea|Pacchi in linea|Packs verbonden|Pakiety połączone|Packs ligados
Packs expected|Packs erwartet|Packs attendus|Packs esperados|Pacchi attesi|Packs verwacht|Pakiety oczekiwane|Packs esperados
Charge blocked|Laden gesperrt|Charge bloquée|Carga bloqueada|Carica bloccata|Laden geblokkeerd|Ładow. zablokowane|Carga bloqueada
Discharge blocked|Entladen gesperrt|Décharge bloquée|Descarga bloqueada|Scarica bloccata|Ontladen geblokk.|Rozład. zablokowane|Descarga bloqueada
Packs excluded|Packs außen vor|Packs exclus|Packs excluidos|Pacchi esclusi|Packs uitgesloten|Pakiety wykluczone|Packs excluídos
Emitting|Sendet|Émet|Emitiendo|Trasmette|Zendt|Nadaje|A emitir
Phase|Phase|Phase|Fase|Fase|Fase|Faza|Fase
CCL charge limit|CCL Ladegrenze|CCL Limite de charge|CCL Límite de carga|CCL Limite di carica|CCL Laadlimiet|CCL Limit ładowania|CCL Limite de carga
CCL reason|CCL Grund|CCL cause|CCL motivo|CCL motivo|CCL reden|CCL powód|CCL motivo
DCL discharge limit|DCL Entladegrenze|DCL Limite de décharge|DCL Límite de descarga|DCL Limite di scarica|DCL Ontlaadlimiet|DCL Limit rozładowania|DCL Limite de descarga
DCL reason|DCL Grund|DCL cause|DCL motivo|DCL motivo|DCL reden|DCL powód|DCL motivo
CVL charge voltage|CVL Ladespannung|CVL Tension de charge|CVL Tensión de carga|CVL Tensione di carica|CVL Laadspanning|CVL Napięcie ładowania|CVL Tensão de carga
CVL reason|CVL Grund|CVL cause|CVL motivo|CVL motivo|CVL reden|CVL powód|CVL motivo
DVL lowest voltage|DVL Entladespannung|DVL Tension de décharge|DVL Tensión de descarga|DVL Tensione di scarica|DVL Ontlaadspanning|DVL Nap. rozładowania|DVL Tensão de descarga
DVL reason|DVL Grund|DVL cause|DVL motivo|DVL motivo|DVL reden|DVL powód|DVL motivo
Charge enabled|Laden erlaubt|Charge permise|Carga permitida|Carica permessa|Laden toegestaan|Ładow. dozwolone|Carga permitida
Discharge enabled|Entladen erlaubt|Décharge permise|Descarga permitida|Scarica permessa|Ontladen toegest.|Rozład. dozwolone|Descarga permitida
Force charge|Zwangsladung|Charge forcée|Carga forzada|Carica forzata|Gedwongen laden|Wymuś ładowanie|Carga forçada
Full charge request|Vollladung gewünscht|Demande charge plein|Pide carga completa|Richiesta piena car.|Volladen gevraagd|Żądanie pełnego|Pede carga completa
Protections|Schutzabschaltungen|Protections|Protecciones|Protezioni|Beveiligingen|Zabezpieczenia|Proteções
Modules|Module|Modules|Módulos|Moduli|Modules|Moduły|Módulos
Connected|Verbunden|Connecté|Conectado|Connesso|Verbonden|Połączony|Ligado
Reason|Grund|Cause|Motivo|Motivo|Reden|Powód|Motivo
Heartbeat age|Alter Lebenszeichen|Âge du pouls|Edad del latido|Età del battito|Leeftijd hartslag|Wiek pulsu|Idade do pulso
Heartbeats|Lebenszeichen|Pouls reçus|Latidos|Battiti|Hartslagen|Pulsy|Pulsos
Sets sent|Sätze gesendet|Trames envoyées|Tramas enviadas|Telegrammi inviati|Sets verzonden|Wysłane zestawy|Tramas enviadas
Enable|Freigabe|Activer|Habilitar|Abilita|Inschakelen|Włącz|Ativar
Stop|Stopp|Arrêt|Parar|Stop|Stop|Stop|Parar
Last time full|Zuletzt voll|Dernier plein|Última vez llena|Ultima volta piena|Laatst vol|Ostatnio pełna|Última vez cheia
Days since full|Tage seit voll|Jours depuis plein|Días desde llena|Giorni da piena|Dagen sinds vol|Dni od pełna|Dias desde cheia
Time absorbed|Absorptionszeit|Temps d'absorption|Tiempo absorción|Tempo assorbimento|Absorptietijd|Czas absorpcji|Tempo de absorção
May charge|Dürfen laden|Peuvent charger|Pueden cargar|Possono caricare|Mogen laden|Mogą ładować|Podem carregar
May discharge|Dürfen entladen|Peuvent décharger|Pueden descargar|Possono scaricare|Mogen ontladen|Mogą rozładować|Podem descarregar
Packs empty|Packs leer|Packs vides|Packs vacíos|Pacchi vuoti|Packs leeg|Pakiety puste|Packs vazios
Findings|Befunde|Constats|Hallazgos|Rilievi|Bevindingen|Ustalenia|Constatações
Charging|Laden|Charger|Cargar|Caricare|Laden|Ładowanie|Carregar
Discharging|Entladen|Décharger|Descargar|Scaricare|Ontladen|Rozładowanie|Descarregar
Charge fully now|Jetzt voll laden|Charger à fond|Cargar por completo|Carica completa ora|Nu vol laden|Naładuj do pełna|Carregar tudo agora
Balance now|Jetzt balancieren|Équilibrer|Balancear ahora|Bilancia ora|Nu balanceren|Balansuj teraz|Balancear agora
Wake up|Aufwecken|Réveiller|Despertar|Risveglia|Wek op|Obudź|Acordar
Charge from the grid|Laden aus dem Netz|Charge par le réseau|Carga desde la red|Carica dalla rete|Laden uit het net|Ładowanie z sieci|Carga da rede
Cell charge voltage|Zelle Ladespannung|Cellule tens. charge|Celda tensión carga|Cella tens. carica|Cel laadspanning|Ogniwo nap. ładow.|Célula tens. carga
Cell float voltage|Zelle Erhaltungssp.|Cellule tens. float|Celda tens. flotac.|Cella tens. mant.|Cel druppelspanning|Ogniwo nap. podtrz.|Célula tens. flut.
Cell empty voltage|Zelle Leerspannung|Cellule tens. vide|Celda tensión vacía|Cella tens. vuota|Cel leegspanning|Ogniwo nap. puste|Célula tens. vazia
Max charging|Laden höchstens|Charge au plus|Carga máxima|Carica massima|Laden hoogstens|Ładowanie maks.|Carga máxima
Max discharging|Entladen höchstens|Décharge au plus|Descarga máxima|Scarica massima|Ontladen hoogstens|Rozładowanie maks.|Descarga máxima
Charge limit|Ladegrenze|Limite de charge|Límite de carga|Limite di carica|Laadlimiet|Limit ładowania|Limite de carga
Charge again after|Wieder laden nach|Recharger après|Recargar tras|Ricaricare dopo|Weer laden na|Ładuj znów po|Recarregar após
Full charge every|Vollladung alle|Charge pleine tous|Carga plena cada|Carica piena ogni|Volladen elke|Pełne co|Carga plena a cada
Least charge told|Mindest-Ladezustand|Charge mini. dite|Carga mín. indicada|Carica min. detta|Minste lading|Min. stan podany|Carga mín. indicada
Voltage offset|Spannungskorrektur|Décalage de tension|Ajuste de tensión|Correzione tensione|Spanningscorrectie|Korekta napięcia|Ajuste de tensão
SOC reason|SOC Grund|SOC cause|SOC motivo|SOC motivo|SOC reden|SOC powód|SOC motivo
Learned meter offset|Gelernte Abweichung|Écart appris|Desvío aprendido|Scarto appreso|Geleerde afwijking|Poznana odchyłka|Desvio aprendido
Charge voltage trim|Feinabgleich Spann.|Ajustement tension|Ajuste fino tensión|Ritocco tensione|Fijnregeling spann.|Korekta nap. ładow.|Ajuste fino tensão
Battery bank|Batteriebank|Banc de batteries|Banco de baterías|Banco batterie|Accubank|Bank baterii|Banco de baterias
Inverter|Wechselrichter|Onduleur|Inversor|Inverter|Omvormer|Falownik|Inversor
"""


@cache
def _names(language: Language) -> Mapping[str, str]:
    column = LANGUAGES.index(language)
    rows = [line.split("|") for line in _TABLE.strip().splitlines()]
    return {row[0]: row[column] for row in rows}


@cache
def translated(name: str, language: Language) -> str:
    """A name in a language; the English one where nobody has translated it. A number or name behind it stays."""
    known = _names(language)
    if language == "en" or name in known:
        return known.get(name, name)
    words, _, last = name.rpartition(" ")
    return f"{known[words]} {last}" if words in known else name
